import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';

const SCRIPT = `
import { openLog } from ${JSON.stringify(new URL('./log.ts', import.meta.url).href)};
const log = openLog(process.argv[1], 'info');
log.info({ token: 'SWMTKN-1-x', node: 'n1' }, 'first');
setTimeout(() => { log.info({}, 'last'); console.log('ends'); process.exit(3); }, 50);
`;

function run(path: string) {
  const script = SCRIPT.replace('/log.ts', import.meta.url.endsWith('.ts') ? '/log.ts' : '/log.js');
  const flags = [...process.execArgv, '--input-type=module', '-e', script, path];
  return spawnSync(process.execPath, flags, { timeout: 20_000, encoding: 'utf8' });
}

it('a daemon whose log is on a full disk goes on, and ends when it wants to', () => {
  const { status, stdout, stderr } = run('/dev/full');
  assert.deepEqual([stdout, status], ['ends\n', 3], stderr);
});
it('a log has every line up to the end, without what could be a secret', () => {
  const directory = mkdtempSync(join(tmpdir(), 'swarm-log-'));
  const path = join(directory, 'log');
  run(path);
  const lines = readFileSync(path, 'utf8').trim().split('\n');
  const told = lines.map((line) => JSON.parse(line) as { msg: string; token?: string });
  assert.deepEqual(
    told.map(({ msg, token }) => [msg, token]),
    [
      ['first', '[cut]'],
      ['last', undefined],
    ],
  );
  rmSync(directory, { recursive: true });
});

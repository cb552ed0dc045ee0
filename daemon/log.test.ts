import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openLog } from './log.ts';

describe('the log of a daemon', () => {
  it('on a full disk does not end it', async () => {
    const uncaught: unknown[] = [];
    const hear = (error: unknown): void => void uncaught.push(error);
    process.on('uncaughtException', hear);
    const log = openLog('/dev/full', 'info');
    for (let i = 0; i < 10; i++) {
      log.info({ i }, 'a line');
      // Written behind: what comes of it is known when another file was written since.
      const file = await open('/dev/null', 'w');
      await file.write('x');
      await file.close();
    }
    process.off('uncaughtException', hear);
    assert.deepEqual(uncaught, []);
  });
  it('has its lines, without what could be a secret', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'swarm-log-'));
    const path = join(directory, 'log');
    const log = openLog(path, 'info') as ReturnType<typeof openLog> & {
      flush(done: () => void): void;
    };
    log.info({ token: 'SWMTKN-1-x', node: 'n1' }, 'joined');
    await new Promise<void>((resolve) => log.flush(resolve));
    const line = JSON.parse(readFileSync(path, 'utf8'));
    assert.deepEqual([line.token, line.node, line.msg], ['[cut]', 'n1', 'joined']);
    rmSync(directory, { recursive: true });
  });
});

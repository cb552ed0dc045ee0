import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ManualClock } from '../../shared/clock.ts';
import type { Io, RunRequest } from '../io.ts';
import { SystemIo } from '../system-io.ts';
import { Subpaths } from './subpaths.ts';

const notRoot = process.getuid?.() !== 0 && 'not root';

describe('directories below volumes', { skip: notRoot }, () => {
  let scratch: string;
  let root: string;
  let subpaths: Subpaths;
  const io = new SystemIo(new ManualClock());
  beforeEach(() => {
    scratch = mkdtempSync(join(tmpdir(), 'swarm-subpaths-'));
    root = join(scratch, 'data');
    mkdirSync(join(root, 'a/b'), { recursive: true });
    writeFileSync(join(root, 'a/b/inside'), '');
    mkdirSync(join(scratch, 'outside'));
    writeFileSync(join(scratch, 'outside/secret'), '');
    subpaths = new Subpaths(io, join(scratch, 'subpaths'));
  });
  afterEach(async () => {
    await subpaths.releaseAll();
    rmSync(scratch, { recursive: true, force: true });
  });
  const shown = () => readdirSync(subpaths.place('t1', '/data'));

  it('are shown at a place of their own, which goes and leaves them as they are', async () => {
    await subpaths.mount('t1', '/data', root, 'a/b');
    await subpaths.mount('t1', '/data', root, 'a/b');
    assert.deepEqual(shown(), ['inside']);
    await subpaths.release('t1');
    await subpaths.release('t1');
    assert.deepEqual(readdirSync(join(scratch, 'subpaths')), []);
    assert.ok(existsSync(join(root, 'a/b/inside')));
  });
  it('are nothing that is not in the volume, and no link', async () => {
    symlinkSync(join(scratch, 'outside'), join(root, 'way'));
    symlinkSync('b', join(root, 'a/near'));
    writeFileSync(join(root, 'file'), '');
    for (const path of [
      '..',
      'a/../../outside',
      '/etc',
      'a//b',
      '.',
      '',
      'way',
      'a/near',
      'none',
      'file',
    ])
      await assert.rejects(
        subpaths.mount('t1', '/data', root, path),
        { code: 'INVALID_SPEC' },
        path,
      );
    assert.equal(existsSync(subpaths.place('t1', '/data')), false);
  });
  it('stay what they were when somebody puts a link there before they are mounted', async () => {
    const swapping: Pick<Io, 'list' | 'mkdir' | 'rmdir' | 'run' | 'stat'> = {
      list: (path) => io.list(path),
      mkdir: (path) => io.mkdir(path),
      rmdir: (path) => io.rmdir(path),
      stat: (path) => io.stat(path),
      run: (request: RunRequest) => {
        if (request.command === 'mount') {
          renameSync(join(root, 'a'), join(root, 'gone'));
          mkdirSync(join(root, 'a'));
          symlinkSync(join(scratch, 'outside'), join(root, 'a/b'));
        }
        return io.run(request);
      },
    };
    await new Subpaths(swapping, join(scratch, 'subpaths')).mount('t1', '/data', root, 'a/b');
    assert.deepEqual(shown(), ['inside']);
  });
});

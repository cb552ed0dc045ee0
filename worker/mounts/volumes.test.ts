import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Mount } from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import { SystemRandom } from '../../shared/random.ts';
import { insideCommand } from '../inside/inside.fixture.ts';
import type { RuntimeError } from '../runtime.ts';
import { SystemIo } from '../system-io.ts';
import { memoryOptions, volumeUse } from './volume-options.ts';
import { Volumes } from './volumes.ts';

const notRoot = process.getuid?.() !== 0 && 'not root';

describe('volumes of a node', () => {
  let scratch: string;
  let directory: string;
  let volumes: Volumes;
  let changes: number;
  beforeEach(() => {
    scratch = mkdtempSync(join(tmpdir(), 'swarm-volumes-'));
    directory = join(scratch, 'volumes');
    volumes = make();
  });
  afterEach(() => rmSync(scratch, { recursive: true, force: true }));

  function make(): Volumes {
    const clock = new ManualClock();
    const io = new SystemIo(clock);
    const made = new Volumes({
      io,
      clock,
      random: new SystemRandom(),
      directory,
      inside: insideCommand(),
    });
    changes = 0;
    made.onChange(() => {
      changes++;
    });
    return made;
  }
  const path = (name: string) => volumes.path('', { name, target: '' });
  const names = () => volumes.list().map(({ name }) => name);
  async function exported(name: string): Promise<Buffer> {
    const files = await volumes.read(name);
    const chunks: Buffer[] = [];
    for await (const chunk of files.stdout!) chunks.push(chunk as Buffer);
    await files.done;
    return Buffer.concat(chunks);
  }
  async function imported(name: string, archive: Buffer, replace = false): Promise<void> {
    const taken = await volumes.write(name, replace);
    try {
      await pipeline([archive], taken.files.stdin!).catch(() => undefined);
      await taken.files.done;
      await taken.commit();
    } finally {
      await taken.close();
    }
  }
  const failure = (promise: Promise<unknown>): Promise<RuntimeError> =>
    promise.then(
      () => assert.fail('it did not fail'),
      (error) => error,
    );

  it('are made with their labels, once, and told', async () => {
    const made = await volumes.create('data', { team: 'blue' }, {});
    assert.deepEqual([made.name, made.labels, made.path], ['data', { team: 'blue' }, path('data')]);
    assert.equal(changes, 1);
    await volumes.create('data', { team: 'red' }, {});
    assert.deepEqual(volumes.list()[0]?.labels, { team: 'blue' });
    assert.equal(changes, 1);
  });
  it('go only by removal, and one that is not there is named', async () => {
    await volumes.create('data', {}, {});
    await volumes.remove('data');
    assert.deepEqual([names(), existsSync(path('data'))], [[], false]);
    const error = await failure(volumes.remove('data'));
    assert.deepEqual(
      [error.code, error.message],
      ['VOLUME_NOT_FOUND', 'this node has no volume data'],
    );
  });
  it('never get a name that is a path', async () => {
    for (const name of ['..', '.', '', 'a/b', '../x', '-rf', 'a b', 'a\0b', 'ü', 'x'.repeat(256)]) {
      assert.equal((await failure(volumes.create(name, {}, {}))).code, 'INVALID_SPEC', name);
      assert.equal((await failure(volumes.remove(name))).code, 'INVALID_SPEC', name);
      assert.equal((await failure(volumes.write(name, false))).code, 'INVALID_SPEC', name);
    }
    for (const name of ['a', 'data.new', 'a_b-c.d', '0'.repeat(255)])
      assert.equal((await volumes.create(name, {}, {})).name, name);
  });
  it('keep the contents of a removed task apart from those of others', async () => {
    await volumes.ensure('task1', { name: '', target: '/data' }, []);
    await volumes.ensure('task1', { name: 'data', target: '/data' }, []);
    volumes.removeOwn('task1');
    assert.deepEqual([names(), changes], [['data'], 1]);
    assert.equal(existsSync(volumes.path('task1', { name: '', target: '/data' })), false);
  });
  it('come out and go in with rights, times and links', async () => {
    await volumes.create('data', {}, {});
    mkdirSync(join(path('data'), 'deep/er'), { recursive: true });
    writeFileSync(join(path('data'), 'deep/er/file'), 'contents');
    chmodSync(join(path('data'), 'deep'), 0o711);
    chmodSync(path('data'), 0o750);
    await imported('copy', await exported('data'));
    assert.equal(readFileSync(join(path('copy'), 'deep/er/file'), 'utf8'), 'contents');
    const mode = (...parts: string[]) => statSync(join(path('copy'), ...parts)).mode & 0o7777;
    assert.deepEqual([mode('deep'), mode()], [0o711, 0o750]);
    assert.deepEqual(names(), ['copy', 'data']);
  });
  it('keep owners', { skip: notRoot }, async () => {
    await volumes.create('data', {}, {});
    writeFileSync(join(path('data'), 'file'), '');
    execFileSync('chown', ['-R', '999:998', path('data')]);
    await imported('copy', await exported('data'));
    for (const each of [path('copy'), join(path('copy'), 'file')]) {
      const { uid, gid } = statSync(each);
      assert.deepEqual([uid, gid], [999, 998]);
    }
  });
  it('are left as they were by an archive that is cut off, wherever that is', async () => {
    await volumes.create('data', {}, {});
    writeFileSync(join(path('data'), 'a'), 'x'.repeat(5_000));
    writeFileSync(join(path('data'), 'b'), '');
    const archive = await exported('data');
    for (const length of [0, 100, 512, 1_024, 3_000, archive.length - 1_024]) {
      const error = await failure(imported('copy', archive.subarray(0, length)));
      assert.match(error.message, /cut off/, `${length}`);
    }
    assert.deepEqual([names(), readdirSync(join(directory, 'beside'))], [['data'], []]);
  });
  it('are not filled over what they have, unless that is asked for', async () => {
    await volumes.create('data', { team: 'blue' }, {});
    const empty = await exported('data');
    writeFileSync(join(path('data'), 'mine'), '');
    const error = await failure(imported('data', empty));
    assert.deepEqual([error.code, readdirSync(path('data'))], ['NOT_ALLOWED', ['mine']]);
    await imported('data', empty, true);
    assert.deepEqual(
      [readdirSync(path('data')), volumes.list()[0]?.labels],
      [[], { team: 'blue' }],
    );
  });
  it('lose what a killed daemon was about to make', async () => {
    await volumes.create('data', {}, {});
    const taken = await volumes.write('half', false);
    assert.equal(readdirSync(join(directory, 'beside')).length, 1);
    taken.files.close();
    const next = make();
    await next.open();
    assert.deepEqual([next.list().length, existsSync(join(directory, 'beside'))], [1, false]);
  });
  it('say that the disk is full, and leave nothing of an import', { skip: notRoot }, async () => {
    mkdirSync(directory);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory]);
    try {
      const big = join(scratch, 'big');
      mkdirSync(big);
      writeFileSync(join(big, 'zeros'), Buffer.alloc(3 << 20));
      const archive = execFileSync('tar', ['-C', big, '-c', '.'], { maxBuffer: 8 << 20 });
      const error = await failure(imported('data', archive));
      assert.match(error.message, /no space left/);
      assert.deepEqual([names(), readdirSync(join(directory, 'beside'))], [[], []]);
    } finally {
      execFileSync('umount', [directory]);
    }
  });
  it('are memory where that is asked for, and gone from it when removed', {
    skip: notRoot,
  }, async () => {
    const options = { type: 'tmpfs', device: 'tmpfs', o: 'size=1m,mode=1770' };
    await volumes.create('fast', {}, options);
    const mounts = () => readFileSync('/proc/self/mounts', 'utf8').split('\n');
    const line = mounts().find((each) => each.includes(` ${path('fast')} `));
    assert.match(line ?? '', /tmpfs.*nosuid,nodev.*size=1024k,mode=1770/);
    await volumes.ensure('t', { name: 'fast', target: '/x' }, []);
    assert.equal(mounts().filter((each) => each.includes(path('fast'))).length, 1);
    await volumes.remove('fast');
    assert.equal(mounts().filter((each) => each.includes(directory)).length, 0);
    assert.deepEqual(names(), []);
  });
  it('mount nothing of the host or the network', () => {
    assert.equal(memoryOptions({}), undefined);
    for (const options of [
      { type: 'none', o: 'bind', device: '/etc' },
      { type: 'nfs', o: 'addr=10.0.0.1', device: ':/x' },
      { device: '/dev/sda1' },
    ])
      assert.throws(() => memoryOptions(options), { code: 'NOT_ALLOWED' });
    for (const options of [{ o: 'size=1m,suid', type: 'tmpfs' }, { size: '1' }])
      assert.throws(() => memoryOptions(options as object as { [key: string]: string }), {
        code: 'UNSUPPORTED',
      });
  });
  it('take labels, options and nocopy from a mount', () => {
    const mount = (options: { [key: string]: string }, source = 'data') =>
      volumeUse(Mount.create({ type: 'volume', source, target: '/x', options }));
    const use = mount({
      'volume-label:team': 'blue',
      'volume-opt:type': 'tmpfs',
      'volume-nocopy': '',
    });
    assert.deepEqual(use, {
      name: 'data',
      target: '/x',
      labels: { team: 'blue' },
      options: { type: 'tmpfs' },
      noCopy: true,
    });
    assert.equal(mount({}).noCopy, false);
    assert.equal(mount({ 'volume-nocopy': 'false' }).noCopy, false);
    assert.throws(() => mount({ 'volume-driver': 'nfs' }), { code: 'UNSUPPORTED' });
    assert.deepEqual(mount({ 'volume-subpath': 'a/b' }).subpath, 'a/b');
    assert.throws(() => mount({ 'volume-subpath': 'a' }, ''), { code: 'INVALID_SPEC' });
    assert.throws(() => mount({ 'volume-opt:type': 'tmpfs' }, ''), { code: 'UNSUPPORTED' });
  });
});

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DevCluster } from '../../support/dev-cluster.ts';
import { whoRuns } from '../../support/people.ts';
import { mustSwarm, type Ran, rows, swarm, tempDir, until } from '../../support/swarm.ts';

/** A machine that a backup is restored onto: another directory, another address. */
class Machine {
  readonly dir = tempDir();
  readonly #listen: string;

  constructor(listen: string) {
    this.#listen = listen;
  }
  get socket(): string {
    return join(this.dir.path, 's', 'swarm.sock');
  }
  restore(file: string, ...words: string[]): Promise<Ran> {
    const place = ['--state-dir', join(this.dir.path, 's'), '--listen-addr', this.#listen];
    return swarm(['cluster', 'restore', file, ...place, '--allow-process', ...words]);
  }
  swarm(...words: string[]): Promise<string> {
    return mustSwarm(['--socket', this.socket, ...words]);
  }
  rows<T>(...words: string[]): Promise<T[]> {
    return rows<T>(['--socket', this.socket, ...words]);
  }
  async end(): Promise<void> {
    await swarm(['leave', '--force', '--socket', this.socket]);
    await swarm(['stop', '--socket', this.socket]);
    this.dir.remove();
  }
}

interface NodeRow {
  readonly Hostname: string;
  readonly ManagerStatus: string;
  readonly Role: string;
}

describe('a backup, and what is made of the remains of a cluster', () => {
  const person = whoRuns();
  const files = tempDir();
  const file = join(files.path, 'cluster.backup');
  const key = join(files.path, 'cluster.key');
  const machine = new Machine('127.0.77.90:2377');
  const second = new Machine('127.0.77.91:2377');
  let cluster: DevCluster;
  let wish: string;

  const create = (via: string, name: string, ...flags: string[]): Promise<string> => {
    const command = [...flags, '--process', 'sleep', '1000'];
    const words = ['service', 'create', '-q', '--name', name, ...person.user, '--replicas', '2'];
    return cluster.must(via, [...words, ...command]);
  };
  const spec = async (text: Promise<string>): Promise<string> =>
    JSON.stringify((JSON.parse(await text) as { Spec: object }[])[0]!.Spec);

  before(async () => {
    cluster = await DevCluster.up(3, 1);
    await create('m1', 'web');
    wish = await spec(cluster.must('m1', ['service', 'inspect', 'web']));
  });
  after(async () => {
    await machine.end();
    await second.end();
    await cluster?.down();
    files.remove();
  });

  test('is written by any manager while the cluster works, for its owner alone', async () => {
    const said = await cluster.must('m2', ['cluster', 'backup', file, '--key-file', key]);
    assert.match(said, /1 service, 4 nodes/);
    const secret = readFileSync(key, 'utf8').trim();
    assert.ok(!said.includes(secret));
    for (const path of [file, key]) assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.ok(!readFileSync(file, 'latin1').includes('PRIVATE KEY'));
  });

  test('takes no existing file and shows a key that goes nowhere else', async () => {
    const before = readFileSync(file);
    const refused = await cluster.swarm('m1', ['cluster', 'backup', file]);
    assert.equal(refused.code, 4);
    assert.match(refused.stderr, /exists already/);
    assert.deepEqual(readFileSync(file), before);
    const shown = await cluster.must('m1', ['cluster', 'backup', join(files.path, 'shown')]);
    assert.match(shown, /^ {4}SWMBAK-1-\S{43}$/m);
    assert.deepEqual(readdirSync(files.path).sort(), ['cluster.backup', 'cluster.key', 'shown']);
  });

  test('is asked of a manager', async () => {
    const refused = await cluster.swarm('w1', ['cluster', 'backup', join(files.path, 'no')]);
    assert.equal(refused.code, 5);
    assert.match(refused.stderr, /worker/);
  });

  test('that is cut off, damaged, none, or has another key is refused and leaves nothing', async () => {
    const bytes = readFileSync(file);
    const [cut, bad, none] = ['cut', 'bad', 'none'].map((name) => join(files.path, name));
    writeFileSync(cut!, bytes);
    truncateSync(cut!, bytes.length - 100);
    bytes[bytes.length - 200]! ^= 1;
    writeFileSync(bad!, bytes);
    writeFileSync(none!, 'hello');
    const wrong = join(files.path, 'wrong');
    const other = readFileSync(key, 'utf8').trim().slice(0, 9);
    writeFileSync(wrong, `${other}${Buffer.alloc(32, 7).toString('base64url')}\n`);
    const cases: readonly [string, string, number, RegExp][] = [
      [cut!, `@${key}`, 5, /cut off/],
      [bad!, `@${key}`, 5, /damaged/],
      [none!, `@${key}`, 2, /not a backup/],
      [file, `@${wrong}`, 6, /not the one of this backup/],
      [file, `@${none}`, 2, /not the key of a backup/],
      [file, readFileSync(key, 'utf8').trim(), 2, /@FILE or -/],
      [join(files.path, 'absent'), `@${key}`, 2, /cannot be read/],
    ];
    for (const [path, given, code, says] of cases) {
      const ran = await machine.restore(path, '--key', given);
      assert.equal(ran.code, code, ran.stderr);
      assert.match(ran.stderr, says);
      assert.deepEqual(readdirSync(machine.dir.path), []);
    }
  });

  test('becomes a cluster of one on another machine, with every wish', async () => {
    const ran = await machine.restore(file, '--key', `@${key}`, '--name', 'spare');
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /Managers no more: m1, m2, m3/);
    assert.equal(await spec(machine.swarm('service', 'inspect', 'web')), wish);
    const nodes = await machine.rows<NodeRow>('node', 'ls');
    const managers = nodes.filter((node) => node.Role === 'manager');
    assert.deepEqual(
      managers.map((node) => [node.Hostname, node.ManagerStatus]),
      [['spare', 'Leader']],
    );
    const here = ['--constraint', 'node.hostname==spare', ...person.user];
    await machine.swarm(
      'service',
      'create',
      '-q',
      '--name',
      'new',
      ...here,
      '--process',
      'sleep',
      '1000',
    );
    const [status] = JSON.parse(
      `[${await machine.swarm('cluster', 'status', '--format', 'json')}]`,
    ) as { Epoch: number; Members: object[] }[];
    assert.ok(status!.Epoch > 1);
    assert.equal(status!.Members.length, 1);
    // The old cluster is another one now, and untouched.
    assert.equal((await cluster.running('m1', 'web')).length, 2);
    const again = await machine.restore(file, '--key', `@${key}`);
    assert.equal(again.code, 4);
    assert.match(again.stderr, /is in cluster/);
  });

  test('status shows every manager, from each of them', async () => {
    for (const via of ['m1', 'm3']) {
      const text = await cluster.must(via, ['cluster', 'status']);
      for (const name of ['m1', 'm2', 'm3'])
        assert.match(text, new RegExp(`^${name} .*reachable`, 'm'));
      assert.match(text, /^TERM +LEADER/m);
    }
  });

  test('a cluster with a leader is not recovered', async () => {
    const refused = await cluster.swarm('m1', ['cluster', 'recover']);
    assert.equal(refused.code, 4);
    assert.match(refused.stderr, /have a leader/);
  });

  test('when two of three managers are gone, the third one is a cluster again', async () => {
    await create('m1', 'last');
    const before = await cluster.running('m1', 'web');
    const token = (await cluster.must('m1', ['join-token', 'worker', '-q'])).trim();
    await cluster.dev('kill', 'm2');
    await cluster.dev('kill', 'm3');
    const stale = await cluster.swarm('m1', ['service', 'ls', '--consistency', 'stale']);
    assert.match(stale.stdout, /last/);
    assert.match(stale.stderr, /stale.*asked for/);
    const said = await cluster.must('m1', ['init', '--force-new-cluster']);
    assert.match(said, /Managers no more: m2, m3/);
    assert.ok(!said.includes(token), 'the tokens are new');
    const services = await cluster.rows<{ Name: string }>('m1', ['service', 'ls']);
    assert.deepEqual(services.map((row) => row.Name).sort(), ['last', 'web']);
    const kept = before.filter((task) => task.Node === 'm1' || task.Node === 'w1');
    const now = await cluster.running('m1', 'web');
    for (const { ID } of kept)
      assert.ok(
        now.some((task) => task.ID === ID),
        'tasks went on',
      );
    await create('m1', 'after', '--constraint', 'node.hostname==m1');
  });

  test('what was there before the recovery can be restored', async () => {
    const { dir } = await cluster.node('m1');
    const [before] = readdirSync(dir).filter((name) => /^before-recover.*\.backup$/.test(name));
    const ran = await second.restore(join(dir, before!), '--key', `@${join(dir, before!)}.key`);
    assert.equal(ran.code, 0, ran.stderr);
    const services = await second.rows<{ Name: string }>('service', 'ls');
    assert.deepEqual(services.map((row) => row.Name).sort(), ['last', 'web']);
  });

  test('an old manager that comes back is refused, becomes a worker, and can be promoted', async () => {
    await cluster.dev('start', 'm2');
    await until('m2 to be a worker', async () => {
      const info = await cluster.must('m2', ['info', '--format', '{{.State}}']);
      return info.trim() === 'worker' ? true : undefined;
    });
    const nodes = await cluster.rows<NodeRow>('m1', ['node', 'ls']);
    assert.equal(nodes.find((node) => node.Hostname === 'm2')!.ManagerStatus, '');
    await cluster.must('m1', ['node', 'promote', 'm2']);
    await until('m2 to be a manager', async () => {
      const found = await cluster.rows<NodeRow>('m1', ['node', 'ls']);
      const m2 = found.find((node) => node.Hostname === 'm2');
      return m2!.ManagerStatus === 'Reachable' ? true : undefined;
    });
    const seen = await cluster.rows<{ Name: string }>('m2', ['service', 'ls']);
    assert.deepEqual(seen.map((row) => row.Name).sort(), ['after', 'last', 'web']);
  });
});

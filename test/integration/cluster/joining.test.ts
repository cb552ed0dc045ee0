import assert from 'node:assert/strict';
import { chmodSync, chownSync, existsSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type LooseNode, LooseNodes, makeDir } from '../../support/loose-nodes.ts';
import { ordinaryUser, type Person, whoRuns } from '../../support/people.ts';
import { isRunning } from '../../support/processes.ts';
import { findSecrets } from '../../support/secrets.ts';
import { type Ran, ROOT, type RunOptions, run, until } from '../../support/swarm.ts';

for (const person of whoRuns().uid === 0 ? [whoRuns(), ordinaryUser()] : [whoRuns()])
  describe(`clusters are made, joined and left by ${person.name}`, () => joining(person));

function joining(person: Person): void {
  const nodes = new LooseNodes(person);
  const printed: string[] = [];
  const tokens: string[] = [];
  let a: LooseNode;
  let b: LooseNode;
  after(async () => {
    await nodes.down();
    person.remove();
  });

  /** A command that is refused: one error, the exit code, and no daemon or file left of it. */
  async function refused(
    node: LooseNode,
    args: readonly string[],
    code: number,
    says: RegExp,
    input?: string,
    env: RunOptions['env'] = {},
  ): Promise<Ran> {
    const before = existsSync(node.stateDir);
    const ran = await nodes.swarm(node, args, input === undefined ? { env } : { env, input });
    printed.push(ran.stdout, ran.stderr);
    assert.equal(ran.code, code, ran.stderr);
    assert.match(ran.stderr, says);
    assert.equal(ran.stderr.match(/^Error: /gm)?.length, 1, ran.stderr);
    assert.equal(ran.stdout, '');
    assert.equal(existsSync(node.stateDir), before, 'no directory is left');
    return ran;
  }
  const joinFlags = (node: LooseNode, token: string, ...managers: string[]): string[] => [
    'join',
    '--token',
    token,
    ...nodes.flags(node),
    ...managers,
  ];

  test('init makes a cluster and prints how another machine joins', async () => {
    a = await nodes.add('a');
    const said = await nodes.init(a);
    const line = /swarm join --token (SWMTKN-1-\S+) (\S+)/.exec(said);
    assert.equal(line?.[2], a.address);
    assert.equal(line?.[1], await nodes.token(a, 'worker'));
    assert.notEqual(line?.[1], await nodes.token(a, 'manager'));
    tokens.push(line![1]!, await nodes.token(a, 'manager'));
    const [info] = await nodes.rows<{ State: string; Leader: boolean }>(a, ['info']);
    assert.deepEqual([info!.State, info!.Leader], ['manager', true]);
  });

  test('a second init is refused and says how to leave', async () => {
    const [before] = await nodes.rows<{ ClusterID: string }>(a, ['info']);
    await refused(a, ['init', '--state-dir', a.stateDir], 4, /in cluster .*\n.*swarm leave/);
    const [now] = await nodes.rows<{ ClusterID: string }>(a, ['info']);
    assert.equal(now!.ClusterID, before!.ClusterID);
  });

  test('a control port that is taken names its owner and leaves nothing', async () => {
    b = await nodes.add('b');
    const words = ['init', '--state-dir', b.stateDir, '--listen-addr', a.address];
    const owner = new RegExp(`is taken by .*pid ${nodes.pid(a)}.*\\n.*--listen-addr`);
    await refused(b, words, 4, owner);
  });

  test('a token that is wrong, of another cluster or rotated is refused', async () => {
    const token = await nodes.token(a, 'worker');
    await refused(b, joinFlags(b, 'nonsense', a.address), 2, /not a join token/);
    await refused(b, joinFlags(b, '@/nowhere/token', a.address), 2, /cannot be read \(ENOENT\)/);
    const wrong = token.slice(0, -1) + (token.endsWith('0') ? '1' : '0');
    await refused(b, joinFlags(b, '-', a.address), 6, /wrong, or was rotated/, `${wrong}\n`);
    await refused(b, joinFlags(b, '-', a.address), 6, /not a whole token/, token.slice(0, -1));
    const [head, version, digest, secret] = token.split('-');
    const other = [head, version, [...digest!].reverse().join(''), secret].join('-');
    await refused(b, joinFlags(b, '-', a.address), 6, /not of the cluster at/, other);
    const rotated = await nodes.must(a, ['join-token', '--rotate', '-q', 'worker']);
    assert.notEqual(rotated.trim(), token);
    await refused(b, joinFlags(b, '-', a.address), 6, /was rotated\.\n/, token);
    tokens.push(rotated.trim());
  });

  test('a clock that is off is refused with how far, and what to do', async () => {
    const token = await nodes.token(a, 'worker');
    const later = 'const now=Date.now;Date.now=()=>now()+3600000';
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(later)}` };
    const says = /36\d\d s ahead of the cluster's\.\n.*timedatectl/;
    await refused(b, joinFlags(b, '-', a.address), 4, says, token, env);
  });

  test('a manager that does not answer is named', async () => {
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.78.9', resolve));
    const address = silent.address();
    const port = typeof address === 'object' ? address!.port : 0;
    await new Promise((resolve) => silent.close(resolve));
    const token = await nodes.token(a, 'worker');
    const words = joinFlags(b, '-', `127.0.78.9:${port}`);
    await refused(b, words, 5, new RegExp(`127.0.78.9:${port} cannot be reached`), token);
    await refused(b, ['join', ...nodes.flags(b), a.address], 2, /--token is missing/);
    await refused(b, joinFlags(b, token, 'no such:address'), 2, /address of a manager/);
  });

  test('a socket path over 100 bytes is refused before anything is made', async () => {
    const long = join(nodes.dir, 'x'.repeat(100));
    const ran = await nodes.swarm(b, ['init', '--state-dir', long]);
    assert.equal(ran.code, 5);
    assert.match(ran.stderr, /more than 100 bytes.*\n.*--socket PATH/);
    assert.ok(!existsSync(long));
  });

  test('a state directory that is of others, or no directory, is refused', async () => {
    const file = join(nodes.dir, 'file');
    writeFileSync(file, 'not a directory');
    const ran = await nodes.swarm(b, ['init', '--state-dir', file]);
    assert.equal(ran.code, 5, ran.stderr);
    assert.match(ran.stderr, /^Error: .*file/m);
    assert.doesNotMatch(ran.stderr, /^ {4}at /m, 'no stack for an error of the user');
    const closed = makeDir(nodes.dir, 'closed');
    chownSync(closed, person.uid, person.uid);
    chmodSync(closed, 0);
    if (person.uid === 0 || process.getuid?.() !== 0) return;
    const roots = makeDir(`${nodes.dir}-of-root`);
    const denied = await nodes.swarm(b, ['init', '--state-dir', roots]);
    assert.equal(denied.code, 6, denied.stderr);
    assert.match(denied.stderr, /You may not open .*\n.*--state-dir DIR/);
    assert.deepEqual(readdirSync(roots), []);
    rmdirSync(roots);
    const unread = await nodes.swarm(b, ['init', '--state-dir', closed]);
    assert.ok([5, 6].includes(unread.code), unread.stderr);
    assert.match(unread.stderr, /^Error: .*closed/m);
    assert.deepEqual(readdirSync(closed), []);
  });

  test('a token from a file or standard input joins, as worker or as manager', async () => {
    const file = join(nodes.dir, 'token');
    writeFileSync(file, await nodes.token(a, 'worker'), { mode: 0o644 });
    const said = await nodes.must(b, joinFlags(b, `@${file}`, '127.0.78.9:1', a.address));
    assert.match(said, /joined the cluster as a worker/);
    const c = await nodes.add('c');
    await nodes.join(c, 'manager', a);
    const listed = await nodes.rows<{ Hostname: string; Status: string; Role: string }>(c, [
      'node',
      'ls',
    ]);
    assert.deepEqual(
      listed.map((row) => [row.Hostname, row.Role]),
      [
        ['a', 'manager'],
        ['b', 'worker'],
        ['c', 'manager'],
      ],
    );
    await refused(b, joinFlags(b, '-', a.address), 4, /in cluster/, tokens[0]);
  });

  test('a manager whose port is taken says by whom, and manages again once it is free', async () => {
    await nodes.must(a, ['stop']);
    const other = createServer((socket) => socket.destroy());
    const [host, port] = a.address.split(':');
    await new Promise<void>((resolve) => other.listen(Number(port), host, resolve));
    try {
      await nodes.must(a, ['start', ...nodes.flags(a).slice(0, 2), ...allow(person)]);
      // Who has the port may be seen of one's own processes only.
      const taken = `${a.address} is taken${person.uid === process.getuid?.() ? ' by ' : ''}`;
      await until('it to say so', async () => {
        const [info] = await nodes.rows<{ Error: string }>(a, ['info']);
        return info!.Error.includes(taken) ? true : undefined;
      });
      await refused(a, ['leave'], 4, /is a manager/);
    } finally {
      await new Promise((resolve) => other.close(resolve));
    }
    await until('it to be a manager', async () => {
      const [info] = await nodes.rows<{ State: string; Error: string }>(a, ['info']);
      return info!.State === 'manager' && info!.Error === '' ? true : undefined;
    });
    assert.equal((await nodes.rows(a, ['node', 'ls'])).length, 3);
  });

  test('a worker answers for itself and names the managers for the rest', async () => {
    const [info] = await nodes.rows<{ State: string; Managers: string[] }>(b, ['info']);
    assert.equal(info!.State, 'worker');
    assert.ok(info!.Managers.includes(a.address));
    await refused(b, ['node', 'ls'], 5, /is a worker\n.*127\.0\.78\.1:/);
    await refused(b, ['join-token', 'worker'], 5, /is a worker/);
  });

  test('a second daemon on one state directory is refused', async () => {
    const daemon = join(ROOT, 'dist', 'bundle', 'swarmd.mjs');
    const args = [daemon, '--state-dir', b.stateDir, '--socket', join(nodes.dir, 'other.sock')];
    const ran = await run(process.execPath, args, { ...person.options, timeoutMs: 20_000 });
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, new RegExp(`another swarmd \\(pid ${nodes.pid(b)}\\) uses`));
    assert.ok(!existsSync(join(nodes.dir, 'other.sock')));
    assert.equal((await nodes.rows<{ State: string }>(b, ['info']))[0]!.State, 'worker');
  });

  test('leave is orderly: a worker leaves, a manager only by force', async () => {
    const make = ['service', 'create', '-q', '--name', 'here', '--mode', 'global', ...person.user];
    await nodes.must(a, [...make, '--process', 'sleep', '1000']);
    const api = nodes.api(a);
    const here = (await api.running('here')).find((task) => task.nodeName === 'b')!;
    await nodes.must(b, ['leave']);
    assert.ok(!isRunning(here.status!.pid), 'its tasks are ended');
    await refused(b, ['leave'], 5, /in no cluster/);
    const rest = readdirSync(b.stateDir).filter((name) => !/^(lock|logs|swarm)/.test(name));
    assert.deepEqual(rest, []);
    await refused(a, ['leave'], 4, /is a manager.*\n.*\n.*swarm node demote a/);
    await nodes.must(a, ['node', 'rm', 'b']);
    await nodes.join(b, 'worker', a);
    assert.match(await nodes.must(b, ['info']), /State: +worker/);
  });

  test('no token or key is in an argument, in a file but its own, or was printed in an error', () => {
    assert.deepEqual(findSecrets(nodes.dir, tokens, printed.join('\n')).filter(isNoTokenFile), []);
  });
}

function allow(person: Person): string[] {
  return person.uid === 0 ? ['--allow-process'] : [];
}

/** The file that the test itself wrote a token into. */
function isNoTokenFile(path: string): boolean {
  return !path.endsWith('/token');
}

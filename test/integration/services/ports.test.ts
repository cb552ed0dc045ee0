import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { ordinaryUser, type Person } from '../../support/people.ts';
import { persons, Stage } from '../../support/stage.ts';
import { get, until } from '../../support/swarm.ts';

/** Each test has ports of its own: one that is closed can be busy for a moment. */
let port = 22_200;

for (const person of persons(ordinaryUser))
  describe(`published ports of ${person.name}`, () => ports(person));

function ports(person: Person): void {
  let at: Stage;
  let hosts: string[];
  const others = new Set<ChildProcess>();
  before(async () => {
    at = await Stage.up(person, 1, 2);
    hosts = (await at.cluster.nodes()).map((node) => node.host);
  });
  afterEach(async () => {
    for (const other of others) other.kill('SIGKILL');
    others.clear();
    await at?.clean();
  });
  after(() => at?.down());

  /** A program that is not ours and has the port on these addresses; resolves when it listens. */
  async function taken(on: readonly string[], listenPort: number): Promise<number> {
    const script = `let left = ${on.length};
      for (const host of ${JSON.stringify(on)})
        require('net').createServer().listen(${listenPort}, host, () => --left || console.log('up'));`;
    const other = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    others.add(other);
    await once(other.stdout!, 'data');
    return other.pid!;
  }

  test('once the command has ended every node answers, with the tasks of every node', async () => {
    await at.mustCreate('web', '--replicas', '3', '-p', `${++port}:80`, '--process', 'hello');
    const bodies = new Set<string>();
    for (const host of hosts) {
      // The least loaded task is taken: three connections reach all three only one after the other.
      for (let i = 0; i < 9; i++) bodies.add((await get(host, port)).body);
    }
    assert.deepEqual([...bodies].map((body) => /slot (\d)/.exec(body)![1]).sort(), ['1', '2', '3']);
  });

  test('long form, ranges and a port of the cluster’s choice', async () => {
    const first = port + 1;
    port += 4;
    const range = `${first}-${first + 1}:80-81`;
    const long = `published=${first + 2},target=82,protocol=tcp`;
    // Three ports: PORT is the first of them; PORT_81 and PORT_82 are the others'.
    const script = `for (const name of ['80', '81', '82', '83']) require('http')
      .createServer((_, answer) => answer.end(name))
      .listen(name === '80' ? process.env.PORT : process.env['PORT_' + name], process.env.HOST)`;
    const publish = ['-p', range, '-p', long, '-p', '83'];
    await at.mustCreate('many', ...publish, '--process', 'node', '-e', script);
    const given = (await at.api.service('many')).state!.ports.map((one) => one.published);
    assert.deepEqual(given.slice(0, 3), [first, first + 1, first + 2]);
    assert.ok(given[3]! >= 30_000 && given[3]! <= 32_767);
    for (const [i, published] of given.entries()) {
      const body = await until(
        `port ${published}`,
        async () => (await get(hosts[1]!, published)).body,
      );
      assert.equal(body, String(80 + i));
    }
    const listed = await at.must(['service', 'ls']);
    assert.match(listed, new RegExp(`\\*:${first}->80/tcp`));
  });

  test('the proxy protocol tells the task who asks', async () => {
    const script = `require('net').createServer((socket) => socket.once('data', (bytes) => {
      const head = bytes.subarray(0, 12).toString('hex') === '0d0a0d0a000d0a515549540a';
      socket.end(head ? [...bytes.subarray(16, 20)].join('.') : 'no header');
    })).listen(process.env.PORT, process.env.HOST)`;
    const publish = `published=${++port},target=80,proxy-protocol=v2`;
    await at.mustCreate('who', '-p', publish, '--process', 'node', '-e', script);
    const { connect } = await import('node:net');
    const asked = await until('an answer', async () => {
      const socket = connect({ host: hosts[2]!, port, localAddress: '127.0.0.9' });
      const [bytes] = (await once(socket, 'data')) as [Buffer];
      socket.destroy();
      return bytes.toString();
    });
    assert.equal(asked, '127.0.0.9');
  });

  test('UDP is passed on, both ways', async () => {
    const script = `const socket = require('dgram').createSocket('udp4');
      socket.on('message', (text, from) => socket.send('echo ' + text, from.port, from.address));
      socket.bind(process.env.PORT, process.env.HOST)`;
    await at.mustCreate('echo', '-p', `${++port}:53/udp`, '--process', 'node', '-e', script);
    for (const host of hosts) {
      const client = createSocket('udp4');
      const answered = once(client, 'message');
      // A datagram has no second try of its own: the task may be about to bind its port.
      const again = setInterval(() => client.send(`to ${host}`, port, host), 100);
      const [text] = (await answered) as [Buffer];
      clearInterval(again);
      client.close();
      assert.equal(text.toString(), `echo to ${host}`);
    }
  });

  test('a port that another program has on one node is told with its owner, and taken when free', async () => {
    const pid = await taken([hosts[1]!], ++port);
    const made = await at.create('web', '-p', `${port}:80`, '--process', 'hello');
    assert.equal(made.code, 0, made.stderr);
    // Who owns the other program may be hidden from an ordinary user; here it is the tests' own.
    const owner = person.uid === 0 ? `node \\(pid ${pid}\\)` : '.*';
    const said = new RegExp(
      `w1: cannot listen on ${hosts[1]}:${port}/tcp: it is taken by ${owner}`,
    );
    assert.match(made.stdout, said);
    const [reason] = await at.why('web');
    assert.equal(reason!.Code, 'port-taken');
    assert.match(reason!.Text, said);
    assert.match((await at.try(['service', 'ps', 'web'])).stderr, said);
    for (const host of [hosts[0]!, hosts[2]!]) assert.equal((await get(host, port)).status, 200);
    for (const other of others) other.kill('SIGKILL');
    const answer = await until('w1 to listen', () => get(hosts[1]!, port));
    assert.match(answer.body, /^Hello from web/);
    await until('the end of the complaint', async () =>
      (await at.why('web'))[0]!.Code === 'fine' ? true : undefined,
    );
  });

  test('the command fails when no node can listen', async () => {
    await taken(hosts, ++port);
    const made = await at.create('web', '-p', `${port}:80`, '--process', 'hello');
    assert.equal(made.code, 1, made.stdout);
    assert.match(made.stderr, /No node listens on a published port:/);
    for (const node of ['m1', 'w1', 'w2'])
      assert.match(
        made.stderr,
        new RegExp(`port ${port}: ${node}: cannot listen on .*: it is taken`),
      );
  });

  test('a port that another service publishes is refused at once, by its name', async () => {
    await at.mustCreate('first', '-p', `${++port}:80`, '--process', 'hello');
    const second = await at.create('second', '-p', `${port}:80`, '--process', 'hello');
    assert.equal(second.code, 4);
    assert.match(second.stderr, /first/);
    assert.equal((await at.must(['service', 'ls', '-q'])).trim().split('\n').length, 1);
  });

  test('only ready tasks get connections', async () => {
    const flag = join(at.directory(), 'ready');
    const script = `const { existsSync } = require('fs');
      require('http').createServer((request, answer) => {
        const slot = process.env.SWARM_TASK_SLOT;
        answer.statusCode = request.url === '/' || slot === '1' || existsSync('${flag}') ? 200 : 503;
        answer.end(slot);
      }).listen(process.env.PORT, process.env.HOST)`;
    const ready = ['--ready-http', ':80/ready', '--ready-interval', '100ms'];
    const words = ['--replicas', '2', '-p', `${++port}:80`, ...ready];
    await at.mustCreate('web', '-d', ...words, '--process', 'node', '-e', script);
    const ask = async (): Promise<string> => (await get(hosts[0]!, port)).body;
    await until('the ready one', async () => (await ask().catch(() => '')) || undefined);
    for (let i = 0; i < 10; i++) assert.equal(await ask(), '1');
    writeFileSync(flag, '');
    await until('the other one', async () => ((await ask()) === '2' ? true : undefined));
  });

  test('a request that is under way is finished while its task is drained, as long as it may', async () => {
    const words = ['--replicas', '2', '--drain-time', '10s', '-p', `${++port}:80`];
    await at.mustCreate('web', ...words, '--update-monitor', '100ms', '--process', 'hello');
    await until('an answer', () => get(hosts[0]!, port));
    const slow = hosts.map((host) => get(host, port, '/slow?ms=1500', 20_000));
    const ran = await at.update('web', '--update-parallelism', '0', '--force');
    assert.equal(ran.code, 0, ran.stderr);
    for (const answer of await Promise.all(slow)) assert.equal(answer.status, 200);
  });
}

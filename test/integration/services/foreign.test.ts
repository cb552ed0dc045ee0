import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { ordinaryUser, type Person } from '../../support/people.ts';
import { persons, Stage } from '../../support/stage.ts';
import { get, run, until } from '../../support/swarm.ts';

const WEB_PORT = 22_500;
const STORE_PORT = 22_501;
const CONNECTIONS = 8;

/** What has to be installed: `deploy/install-deps --test` does. */
const TOOLS = ['nginx', 'redis-server', 'redis-benchmark', 'wrk'];
const PLACES = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin'];
const missing = TOOLS.filter((tool) => !PLACES.some((place) => existsSync(join(place, tool))));
const skip =
  missing.length > 0 && process.env['CI'] !== 'true'
    ? `${missing.join(', ')} not installed: deploy/install-deps --test`
    : false;

const NGINX = `worker_processes 1; error_log stderr; pid DIR/pid;
events { worker_connections 256; }
http {
  access_log off; keepalive_timeout 75s; keepalive_requests 1000000;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi;
  uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
  server { listen HOST:PORT; location / { return 200 "nginx SLOT\\n"; } }
}
`;

for (const person of persons(ordinaryUser))
  describe(`programs that are not ours, run by ${person.name}`, { skip }, () => foreign(person));

function foreign(person: Person): void {
  let at: Stage;
  let hosts: string[];
  before(async () => {
    assert.deepEqual(missing, [], 'tools that the tests need');
    at = await Stage.up(person, 3, 2);
    hosts = (await at.cluster.nodes()).map((node) => node.host);
  });
  after(() => at?.down());

  test('nginx under wrk, while it is updated, scaled, killed and drained', async (t) => {
    const files = at.directory();
    writeFileSync(join(files, 'template'), NGINX);
    const script = `dir=${files}/$SWARM_TASK_ID; mkdir $dir
      sed "s#DIR#$dir#g; s#HOST#$HOST#; s#PORT#$PORT#; s#SLOT#$SWARM_TASK_SLOT#" \
        ${files}/template > $dir/conf
      exec nginx -p $dir -e stderr -c $dir/conf -g 'daemon off;'`;
    // SIGQUIT is nginx' word for an end that finishes what is under way.
    const stop = ['--stop-signal', 'QUIT', '--drain-time', '500ms', '--restart-delay', '100ms'];
    const rolling = ['--update-parallelism', '2', '--update-monitor', '100ms'];
    const words = ['--replicas', '4', '-p', `${WEB_PORT}:80`, ...stop, ...rolling];
    const ready = ['--ready-tcp', ':80', '--ready-interval', '100ms'];
    await at.mustCreate('nginx', ...words, ...ready, '--process', 'sh', '-c', script);
    for (const host of hosts) assert.match((await get(host, WEB_PORT)).body, /^nginx \d\n$/);

    const quiet = await underWrk(t, 'nothing is done', () => at.must(['service', 'ls']));
    assert.deepEqual(quiet.errors, NO_ERRORS);
    const updated = await underWrk(t, 'updated stop-first', () =>
      at.must(['service', 'update', '-q', '-e', 'V=2', 'nginx']),
    );
    const again = await underWrk(t, 'updated start-first', () =>
      at.must(['service', 'update', '-q', '--update-order', 'start-first', '-e', 'V=3', 'nginx']),
    );
    const scaled = await underWrk(t, 'scaled to 2 and back', async () => {
      await at.must(['service', 'scale', '-q', 'nginx=2']);
      await at.must(['service', 'scale', '-q', 'nginx=4']);
    });
    const killed = await underWrk(t, 'one task killed', async () => {
      const [task] = await at.api.running('nginx');
      process.kill(task!.status!.pid, 'SIGKILL');
      await at.api.untilRunning('nginx', 4, (all) => !all.some((one) => same(one, task!)));
    });
    const drained = await underWrk(t, 'node w1 drained', async () => {
      await at.must(['node', 'update', '--availability', 'drain', 'w1']);
      await at.api.untilRunning('nginx', 4, (all) => all.every((one) => one.nodeName !== 'w1'));
    });
    await at.must(['node', 'update', '--availability', 'active', 'w1']);
    for (const { errors } of [updated, again, scaled, killed, drained]) {
      assert.equal(errors.connect, 0, 'every node has listened all the time');
      assert.equal(errors.status, 0, 'every answer was one of nginx');
      // wrk sends no request again: of a connection that is closed while it sends, one is lost.
      assert.ok(errors.read <= 2 * CONNECTIONS * hosts.length, `${errors.read} were lost`);
    }
  });

  test('redis under redis-benchmark, while it is updated, killed and drained', async (t) => {
    const script = 'exec redis-server --port $PORT --bind $HOST --save "" --protected-mode no';
    const words = ['-p', `${STORE_PORT}:6379`, '--restart-delay', '100ms', '--drain-time', '500ms'];
    const fast = [
      '--update-monitor',
      '100ms',
      '--health-tcp',
      ':6379',
      '--health-interval',
      '200ms',
    ];
    const start = ['--health-start-period', '20s', '--health-start-interval', '50ms'];
    await at.mustCreate('redis', ...words, ...fast, ...start, '--process', 'sh', '-c', script);
    const quiet = await underBenchmark(t, 'nothing is done', () => at.must(['service', 'ls']));
    assert.equal(quiet.cut, 0);
    await underBenchmark(t, 'updated stop-first', () =>
      at.must(['service', 'update', '-q', '-e', 'V=2', 'redis']),
    );
    await underBenchmark(t, 'updated start-first', () =>
      at.must(['service', 'update', '-q', '--update-order', 'start-first', '-e', 'V=3', 'redis']),
    );
    await underBenchmark(t, 'killed', async () => {
      const [task] = await at.api.running('redis');
      process.kill(task!.status!.pid, 'SIGKILL');
      await at.api.untilRunning('redis', 1, (all) => !same(all[0]!, task!));
    });
    await underBenchmark(t, 'its node drained', async () => {
      const [task] = await at.api.running('redis');
      await at.must(['node', 'update', '--availability', 'drain', task!.nodeName]);
      await at.api.untilRunning('redis', 1, (all) => !same(all[0]!, task!));
      await at.must(['node', 'update', '--availability', 'active', task!.nodeName]);
    });
  });

  /** wrk on every node while `work` is done; says what was lost meanwhile. */
  async function underWrk(
    t: TestContext,
    what: string,
    work: () => Promise<unknown>,
  ): Promise<Wrk> {
    const ends = hosts.map((host) => startWrk(host));
    await work();
    const all = (await Promise.all(ends.map((end) => end()))).reduce(sum);
    const { connect, read, write, timeout, status } = all.errors;
    t.diagnostic(
      `nginx, ${what}: ${all.requests} requests; refused ${connect}, cut ${read + write}, ` +
        `unanswered ${timeout}, other than 200 ${status}`,
    );
    return all;
  }

  /** Short rounds of redis-benchmark while `work` is done; a closed connection ends its round. */
  async function underBenchmark(
    t: TestContext,
    what: string,
    work: () => Promise<unknown>,
  ): Promise<{ rounds: number; cut: number }> {
    let [rounds, cut, over] = [0, 0, false];
    const working = work().finally(() => {
      over = true;
    });
    for (let i = 0; !over || rounds === 0; i++) {
      const to = ['-h', hosts[i % hosts.length]!, '-p', `${STORE_PORT}`];
      const ran = await run('redis-benchmark', [
        ...to,
        '-n',
        '2000',
        '-c',
        '4',
        '-t',
        'set,get',
        '-q',
      ]);
      rounds++;
      if (ran.code !== 0) cut++;
    }
    await working;
    await until('redis to answer', async () => {
      const to = ['-h', hosts[0]!, '-p', `${STORE_PORT}`, '-n', '1', '-c', '1', '-t', 'ping', '-q'];
      return (await run('redis-benchmark', to)).code === 0 ? true : undefined;
    });
    t.diagnostic(`redis, ${what}: ${rounds} rounds of 4000 requests, ${cut} cut`);
    return { rounds, cut };
  }
}

function same(a: { task: { id: string } | null }, b: { task: { id: string } | null }): boolean {
  return a.task!.id === b.task!.id;
}

interface Wrk {
  readonly requests: number;
  readonly errors: typeof NO_ERRORS;
}
const NO_ERRORS = { connect: 0, read: 0, write: 0, timeout: 0, status: 0 };

function sum(a: Wrk, b: Wrk): Wrk {
  const keys = Object.keys(NO_ERRORS) as (keyof typeof NO_ERRORS)[];
  const errors = { ...NO_ERRORS };
  for (const key of keys) errors[key] = a.errors[key] + b.errors[key];
  return { requests: a.requests + b.requests, errors };
}

/** Returns what ends it and reads its figures. */
function startWrk(host: string): () => Promise<Wrk> {
  const url = `http://${host}:${WEB_PORT}/`;
  const child = spawn('wrk', ['-t1', `-c${CONNECTIONS}`, '-d600s', '--timeout', '10s', url]);
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return async () => {
    child.kill('SIGINT');
    await ended;
    const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);
    const errors = {
      connect: number(/connect (\d+)/),
      read: number(/read (\d+)/),
      write: number(/write (\d+)/),
      timeout: number(/timeout (\d+)/),
      status: number(/Non-2xx or 3xx responses: (\d+)/),
    };
    return { requests: number(/(\d+) requests in/), errors };
  };
}

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { buildImage } from '../../../shared/distribution/image.fixture.ts';
import {
  busybox,
  PrivateContainerd,
} from '../../../worker/runtime/containerd/containerd.fixture.ts';
import { DevCluster } from '../../support/dev-cluster.ts';
import { TestRegistry } from '../../support/registry.ts';
import { get, type Ran, ROOT, tempDir, until } from '../../support/swarm.ts';
import { Typing } from '../../support/typing.ts';
import { missingForContainers } from './prerequisites.ts';

const missing = missingForContainers(['docker-registry']);
const REGISTRY_PORT = 15_078;
const BUNDLE = join(ROOT, 'dist', 'bundle', 'swarm.mjs');

describe('looking into containers', { skip: missing || false }, () => {
  let engine: PrivateContainerd;
  let registry: TestRegistry;
  let cluster: DevCluster;
  let image: string;

  before(async () => {
    engine = new PrivateContainerd();
    await engine.start();
    registry = await TestRegistry.start(REGISTRY_PORT);
    await registry.push(buildImage(busybox()), 'test/look', '1');
    image = `${registry.host}/test/look:1`;
    cluster = await DevCluster.up(1, 1, { env: { CONTAINERD_ADDRESS: engine.socket } });
    const command = ['httpd', '-f', '-p', '127.0.0.1:80', '-h', '/www'];
    await create('web', '--constraint', 'node.role==worker', image, ...command);
  });
  after(async () => {
    await cluster?.down();
    await registry?.stop();
    await engine?.close();
  });

  const create = (name: string, ...words: string[]): Promise<string> =>
    cluster.must('m1', ['service', 'create', '-q', '--name', name, ...GRACE, ...words]);
  const swarm = (...words: string[]): Promise<Ran> => cluster.swarm('m1', words);
  const socket = async (): Promise<{ [name: string]: string }> => ({
    SWARM_SOCKET: await cluster.socket('m1'),
  });

  it('runs commands in them as another user, with codes as Docker has them', async () => {
    const id = await swarm('exec', '-u', 'web', '-w', '/tmp', 'web', 'sh', '-c', 'id -un; pwd');
    assert.equal(id.stdout, 'web\n/tmp\n', id.stderr);
    const piped = await cluster.swarm('m1', ['exec', '-i', 'web', 'wc', '-c'], {
      input: 'x'.repeat(1 << 20),
    });
    assert.equal(piped.stdout.trim(), `${1 << 20}`, piped.stderr);
    const codes: [string[], number][] = [
      [['web', 'nothing-of-the-kind'], 127],
      [['web', '/etc/passwd'], 126],
      [['-u', 'nobody-here', 'web', 'id'], 126],
      [['web', 'sh', '-c', 'kill -9 $$'], 137],
    ];
    for (const [words, code] of codes) {
      const ran = await swarm('exec', ...words);
      assert.equal(ran.code, code, `${words}: ${ran.stderr}`);
    }
  });

  it('gives a terminal that is left by keys', async () => {
    const run = `${process.execPath} ${BUNDLE} exec -it web sh; echo "code=$?"`;
    const typing = new Typing(run, await socket());
    typing.type('stty size; tty; echo "th"ere\r');
    await typing.until(/33 77[\s\S]*\/dev\/pts\/\d+[\s\S]*there/);
    typing.type('\x10\x11');
    await typing.until(/code=0\r\n/);
    assert.equal(await typing.ended, 0);
  });

  it('reaches ports that they open for themselves alone', async () => {
    const forward = spawn(process.execPath, [BUNDLE, 'port-forward', 'web', ':80'], {
      env: { ...process.env, ...(await socket()) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    forward.stdout.on('data', (chunk: Buffer) => {
      text += chunk;
    });
    const [, port] = await until('a port', () => /:(\d+) -> 80\n/.exec(text) ?? undefined);
    const pages = await Promise.all([1, 2, 3].map(() => get('127.0.0.1', Number(port))));
    for (const page of pages) assert.equal(page.body, 'hello from a container\n');
    forward.kill('SIGINT');
    await new Promise((resolve) => forward.once('exit', resolve));
  });

  it('copies files in and out, although nothing in them can pack and a link lies in wait', async () => {
    const { path, remove } = tempDir();
    mkdirSync(join(path, 'tree', 'deep'), { recursive: true });
    writeFileSync(join(path, 'tree', 'deep', 'file'), 'from outside\n');
    symlinkSync('/etc/shadow', join(path, 'tree', 'out'));
    await swarm('exec', 'web', 'busybox', 'ln', '-s', '/', '/data/way');
    const into = await swarm('cp', join(path, 'tree'), 'web:/data/way/tmp');
    assert.equal(into.code, 0, into.stderr);
    assert.equal(
      (await swarm('exec', 'web', 'cat', '/tmp/tree/deep/file')).stdout,
      'from outside\n',
    );
    const back = await swarm('cp', 'web:/tmp/tree/.', join(path, 'copy'));
    assert.match(back.stderr, /link .*out leads out of the copy/);
    assert.deepEqual(readdirSync(join(path, 'copy')), ['deep']);
    const file = await swarm('cp', '-q', 'web:/etc/passwd', path);
    assert.deepEqual([file.code, file.stderr], [0, '']);
    assert.match(readFileSync(join(path, 'passwd'), 'utf8'), /^web:x:1000/m);
    remove();
  });

  it('joins the terminal of a container that has one', async () => {
    await create('shell', '-t', '--restart-condition', 'none', image, 'sh');
    const typing = new Typing(
      `${process.execPath} ${BUNDLE} attach shell; echo "code=$?"`,
      await socket(),
    );
    typing.type('echo "he"re\r');
    await typing.until(/here/);
    typing.type('exit 6\r');
    await typing.until(/code=6\r\n/);
    assert.equal(await typing.ended, 0);
    const kept = await until('its end', async () => {
      const ran = await swarm('cp', 'shell.1:/etc/passwd', '-');
      return ran.code === 0 ? ran.stdout : undefined;
    });
    assert.match(kept, /web:x:1000/);
    const into = await swarm('cp', join(ROOT, 'package.json'), 'shell.1:/tmp/');
    assert.match(into.stderr, /is not running: it is failed/);
  });

  it('looks at them as their image says, and shows the last five looks and what they said', async () => {
    const second = 1_000_000_000;
    const test = ['CMD-SHELL', 'echo the image looked'];
    const check = {
      Test: test,
      Interval: second / 10,
      StartPeriod: second,
      StartInterval: second / 10,
    };
    const parts = busybox();
    const built = buildImage({ ...parts, config: { ...parts.config, Healthcheck: check } });
    await registry.push(built, 'test/checked', '1');
    await create('checked', `${registry.host}/test/checked:1`, 'sleep', '1000');
    const looks = await until('five looks', async () => {
      const [task] = JSON.parse((await swarm('task', 'inspect', 'checked.1')).stdout) as [
        { Status: { Health: string; HealthLog: { Output: string; ExitCode: number }[] } },
      ];
      const { Health, HealthLog } = task.Status;
      return Health === 'healthy' && HealthLog.length === 5 ? HealthLog : undefined;
    });
    for (const { Output, ExitCode } of looks)
      assert.deepEqual([Output.trim(), ExitCode], ['the image looked', 0]);
    // A service may leave the image's check out.
    await create('plain', '--no-healthcheck', `${registry.host}/test/checked:1`, 'sleep', '1000');
    const plain = await swarm('task', 'inspect', '--format', '{{.Status.Health}}', 'plain.1');
    assert.equal(plain.stdout.trim(), '', plain.stderr);
  });

  it('shows what they use', async () => {
    const words = ['stats', '--no-stream', '--format', 'json', 'web'];
    const [row] = (await cluster.must('m1', words)).trim().split('\n');
    const shown = JSON.parse(row!) as { Name: string; NetIO: string; MemUsage: string };
    assert.equal(shown.Name, 'web.1');
    assert.match(shown.NetIO, /^[\d.]+k?B \/ [\d.]+k?B$/);
    assert.match(shown.MemUsage, /^[\d.]+[KM]iB \/ /);
  });
});

const GRACE = ['--stop-grace-period', '100ms'];

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { LeasesService, VersionService } from '../../../proto/containerd.ts';
import { AssignedTask, type Init, TaskState } from '../../../proto/index.ts';
import { SystemClock } from '../../../shared/clock.ts';
import {
  buildImage,
  dockerArchive,
  type ImageParts,
} from '../../../shared/distribution/image.fixture.ts';
import type { GenericOffer } from '../../../shared/generic-resources.ts';
import type { Log } from '../../../shared/log.ts';
import { SystemRandom } from '../../../shared/random.ts';
import { type Containerd, connectContainerd } from '../../containerd.ts';
import { CutIo } from '../../cut-io.fixture.ts';
import { insideCommand } from '../../inside/inside.fixture.ts';
import type { ContainerNetwork } from '../../network/container-network.ts';
import type { TaskPort } from '../../network/network.ts';
import { SystemNetcmd } from '../../network/router/netcmd.ts';
import { Router } from '../../network/router/router.ts';
import { SystemIo } from '../../system-io.ts';
import { GenericUnits } from '../generic-units.ts';
import type { CommandKind, Life, RuntimeWorld, TaskKind } from '../runtime.contract.ts';
import { ContainerdRuntime } from './containerd-runtime.ts';

/** For tests: a containerd of our own, away from the machine's. Only root can start one. */
export class PrivateContainerd {
  readonly directory = mkdtempSync(join(tmpdir(), 'swarm-ctrd-'));
  readonly socket = join(this.directory, 'c.sock');
  #process: ChildProcess | undefined;

  /** `programs`: a directory with another containerd and shim than this machine's. */
  async start(programs = ''): Promise<void> {
    const path = join(this.directory, 'config.toml');
    writeFileSync(path, configOf(this.directory));
    const env = { ...process.env, PATH: `${programs}:${process.env['PATH']}` };
    const child = spawn('containerd', ['-c', path], { stdio: 'ignore', detached: true, env });
    this.#process = child;
    const client = connectContainerd(this.socket, 'swarm-test');
    try {
      await until('containerd', () =>
        client.call(VersionService.version, {}, { timeoutMs: 500 }).then(
          () => true,
          () => false,
        ),
      );
    } finally {
      client.close();
    }
  }
  /** As kill -9: its shims and their containers go on. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child?.pid === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
  /** Has it delete what nobody refers to. By itself it waits the longer the busier the machine is. */
  async collect(): Promise<void> {
    const client = connectContainerd(this.socket, 'swarm-test');
    const id = 'collect';
    await client.call(LeasesService.create, { id });
    await client.call(LeasesService.delete, { id, sync: true });
    client.close();
  }
  /** Directories of unpacked layers and of containers that are on the disk. */
  snapshots(): number {
    const path = join(this.directory, 'root/io.containerd.snapshotter.v1.overlayfs/snapshots');
    return existsSync(path) ? readdirSync(path).length : 0;
  }
  /** Parts of images that are on the disk. */
  blobs(): number {
    const path = join(this.directory, 'root/io.containerd.content.v1.content/blobs/sha256');
    return existsSync(path) ? readdirSync(path).length : 0;
  }
  /** Ends it and whatever a failed test left in it. */
  async close(): Promise<void> {
    await this.kill();
    for (const name of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
      const command = readText(`/proc/${name}/cmdline`);
      if (!command.includes('containerd-shim') || !command.includes(this.directory)) continue;
      try {
        process.kill(Number(name), 'SIGKILL');
      } catch {
        // It ended meanwhile.
      }
    }
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Kubernetes' way in, which from 2.0 on are three, and a socket that all containerds of a machine share. */
const NOT_OURS = [
  'io.containerd.grpc.v1.cri',
  'io.containerd.cri.v1.images',
  'io.containerd.cri.v1.runtime',
  'io.containerd.nri.v1.nri',
];

/** In the form of 1.6, which later ones translate. */
function configOf(directory: string): string {
  return `version = 2
root = "${directory}/root"
state = "${directory}/state"
disabled_plugins = ${JSON.stringify(NOT_OURS)}
[grpc]
address = "${directory}/c.sock"
[debug]
level = "error"
`;
}

/** One node on a private containerd, with an image of static busybox. */
export class ContainerdWorld implements RuntimeWorld {
  readonly stateDir = mkdtempSync(join(tmpdir(), 'swarm-containers-'));
  readonly engine: PrivateContainerd;
  readonly nodeId: string;
  /** What services may bind, and reserve. */
  readonly bindRoot = mkdtempSync(join(tmpdir(), 'swarm-offer-'));
  readonly generic: readonly GenericOffer[] = [
    {
      kind: 'gpu',
      count: 2,
      units: [
        { name: 'GPU-1', devices: [join(this.bindRoot, 'gpu0')] },
        { name: 'GPU-2', devices: [join(this.bindRoot, 'gpu1')] },
      ],
    },
  ];
  readonly taskPorts = new Map<string, readonly TaskPort[]>();
  readonly #clock = new SystemClock();
  readonly #random = new SystemRandom();
  /** One for all lives: it is a part of its own, and repairs itself. */
  readonly #router: Router;
  #tasks = 0;

  constructor(engine: PrivateContainerd) {
    this.engine = engine;
    const letters = Buffer.from(this.#random.bytes(4)).toString('hex');
    this.nodeId = `${letters}restofthenodesid`;
    const io = new SystemIo(this.#clock);
    this.#router = new Router({
      io,
      netcmd: new SystemNetcmd(io, this.#clock),
      clock: this.#clock,
      random: this.#random,
      log: silent,
      nodeId: this.nodeId,
      short: this.nodeId.slice(0, 8),
      tunnelKeys: '',
      carries: false,
      watch: () => ({ close() {} }),
    });
  }
  /** The image that tasks without another one are made from, or another one. */
  async load(tag = 'test/busybox:1', parts: Partial<ImageParts> = {}): Promise<void> {
    const runtime = this.runtime();
    await runtime.open();
    await runtime.images.importArchive(this.archive(tag, parts), never);
    await runtime.close();
  }
  /** Takes an image away again, under all its names. */
  async unload(tag: string): Promise<void> {
    const runtime = this.runtime();
    await runtime.open();
    const { digest } = (await runtime.images.list()).find(({ name }) => name.includes(tag))!;
    for (const image of await runtime.images.list())
      if (image.digest === digest) await runtime.images.remove(image.name);
    await runtime.close();
  }
  async open(cutAt = Number.POSITIVE_INFINITY): Promise<Life> {
    const io = new CutIo(new SystemIo(this.#clock), cutAt);
    const runtime = this.runtime(io);
    const life = {
      runtime,
      dead: () => io.dead,
      trace: () => io.trace.at(-1) ?? '',
      async kill() {
        io.die();
        await runtime.close();
      },
    };
    try {
      await runtime.open();
    } catch (error) {
      await life.kill();
      throw error;
    }
    return life;
  }
  runtime(io: CutIo = new CutIo(new SystemIo(this.#clock), Number.POSITIVE_INFINITY)) {
    const namespace = `swarm-${this.nodeId.slice(0, 8)}`;
    const client = connectContainerd(this.engine.socket, namespace);
    return new ContainerdRuntime({
      io,
      clock: this.#clock,
      random: this.#random,
      log: silent,
      network: cuttableNetwork(this.#router, io),
      stateDir: this.stateDir,
      nodeId: this.nodeId,
      nodeName: 'node1',
      env: {},
      keptImages: () => new Set(),
      managers: { managers: () => [], dial: () => assert.fail('nobody is dialled') },
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      containerd: cuttable(client, io),
      socketPath: this.engine.socket,
      publishHost: '127.0.0.1',
      portsDirectory: join(this.stateDir, 'ports'),
      logDirectory: (taskId) => this.logDirectory(taskId),
      onTaskPorts: (taskId, ports) => {
        if (ports.length > 0) this.taskPorts.set(taskId, ports);
        else this.taskPorts.delete(taskId);
      },
      inside: insideCommand(),
      bindRoots: [this.bindRoot],
      hidden: [],
      units: new GenericUnits(io, join(this.stateDir, 'units'), this.generic),
    });
  }
  logDirectory(taskId: string): string {
    return join(this.stateDir, 'logs', taskId);
  }
  output(task: AssignedTask, stream: 'out' | 'err' = 'out'): string {
    return readText(join(this.logDirectory(task.id), stream));
  }
  /** Writes the archive of a busybox image and returns its path. */
  archive(tag: string, parts: Partial<ImageParts> = {}): string {
    const path = join(this.stateDir, `${tag.replaceAll(/\W/g, '-')}.tar`);
    writeFileSync(path, dockerArchive(buildImage({ ...busybox(), ...parts }), [tag]));
    return path;
  }
  container(text: string, init: Init<AssignedTask> = {}, spec: object = {}): AssignedTask {
    this.#tasks++;
    const container = {
      image: 'test/busybox:1',
      command: ['/bin/sh', '-c', `echo started; ${text}`],
      stopGraceMs: 10_000,
      ...spec,
    };
    return AssignedTask.create({
      id: `${basename(this.stateDir).replaceAll(/\W/g, '').toLowerCase()}${this.#tasks}`,
      serviceId: 'service1',
      serviceName: 'web',
      slot: 2,
      revision: 3,
      desiredState: TaskState.RUNNING,
      ports: [{ target: 80 }],
      ...init,
      spec: { container, ...init.spec },
    });
  }
  task(kind: TaskKind): AssignedTask {
    const init = kind === 'hungry' ? { spec: { limits: { memoryBytes: 32 << 20 } } } : {};
    return this.container(TEXTS[kind], init, kind === 'stubborn' ? { stopGraceMs: 50 } : {});
  }
  async ready(task: AssignedTask): Promise<void> {
    await until('output', async () => this.output(task).includes('READY'));
  }
  isEndless(task: AssignedTask): boolean {
    return task.spec?.container?.command.at(-1)?.includes('exit 3') === false;
  }
  starts(task: AssignedTask): number {
    return this.output(task).split('started').length - 1;
  }
  /** Without what a shell starts only to wait, also before that has become another program. */
  processes(task: AssignedTask): number {
    const pids = this.pids(task);
    const shell = readText(`/proc/${pids[0]}/cmdline`);
    return pids.filter((pid, at) => {
      const program = readText(`/proc/${pid}/cmdline`);
      return !program.startsWith('sleep\0' + '1234') && (at === 0 || program !== shell);
    }).length;
  }
  pids(task: AssignedTask): readonly number[] {
    const place = `swarm/${this.nodeId.slice(0, 8)}/${task.id}/cgroup.procs`;
    const bases = ['/sys/fs/cgroup/pids', '/sys/fs/cgroup'];
    const text = bases.map((base) => readText(join(base, place))).find((each) => each !== '');
    return (text ?? '').split('\n').filter(Boolean).map(Number);
  }
  async killTask(task: AssignedTask): Promise<void> {
    const [first] = this.pids(task);
    process.kill(first!, 'SIGKILL');
    await until('its end', async () => this.pids(task).length === 0);
  }
  written(task: AssignedTask): string {
    return this.output(task);
  }
  words(kind: CommandKind): readonly string[] {
    return WORDS[kind];
  }
  leftovers(): readonly string[] {
    const here = (path: string): readonly string[] => (existsSync(path) ? readdirSync(path) : []);
    return [
      ...here(join(this.stateDir, 'containers')),
      ...here(join(this.stateDir, 'ports')),
      ...here(join(this.stateDir, 'volumes', 'own')),
      ...here(join(this.stateDir, 'volumes', 'subpaths')),
      ...here(join(this.stateDir, 'units')).flatMap((kind) =>
        here(join(this.stateDir, 'units', kind)),
      ),
      ...here('/run/netns').filter((name) => name.startsWith(`swt-${this.nodeId.slice(0, 8)}-`)),
      ...this.#groups(),
      ...this.taskPorts.keys(),
    ];
  }
  /** Control groups of containers, in every hierarchy that runc makes them in. */
  #groups(): readonly string[] {
    const inside = ['-type', 'd', '-path', `*/swarm/${this.nodeId.slice(0, 8)}/*`];
    // Groups of others that go meanwhile are no error of this look.
    const { stdout } = spawnSync('find', ['/sys/fs/cgroup', ...inside], { encoding: 'utf8' });
    return stdout.split('\n').filter(Boolean);
  }
  async close(): Promise<void> {
    const runtime = this.runtime();
    await runtime.open();
    for (const { taskId } of await runtime.list()) {
      const controller = runtime.controller(AssignedTask.create({ id: taskId }));
      await controller.terminate();
      await controller.remove();
    }
    await runtime.close();
    await runtime.destroy();
    for (const path of [this.stateDir, this.bindRoot])
      rmSync(path, { recursive: true, force: true });
  }
}

/** The layers of an image in which busybox is every command that the tests use. */
export function busybox(): ImageParts {
  const commands =
    'sh sleep cat id env hostname ls head wc grep stat df tail nc wget dd mount setsid httpd touch true tty stty'.split(
      ' ',
    );
  return {
    layers: [
      [
        { name: 'bin/', type: 'directory' },
        { name: 'bin/busybox', content: readFileSync('/bin/busybox') },
        ...commands.map((name) => ({
          name: `bin/${name}`,
          type: 'symlink' as const,
          link: 'busybox',
        })),
      ],
      [
        { name: 'etc/', type: 'directory' },
        { name: 'etc/passwd', content: PASSWD, mode: 0o644 },
        { name: 'etc/group', content: 'root:x:0:\nweb:x:1000:\nextra:x:2000:web\n', mode: 0o644 },
        { name: 'tmp/', type: 'directory', mode: 0o1777 },
        { name: 'www/', type: 'directory' },
        { name: 'www/index.html', content: 'hello from a container\n', mode: 0o644 },
        { name: 'data/', type: 'directory', mode: 0o755 },
        { name: 'data/seed', content: 'from the image\n', mode: 0o644 },
      ],
    ],
    config: { Env: ['PATH=/bin', 'FROM_IMAGE=yes'], Cmd: ['/bin/sh', '-c', 'echo default'] },
  };
}

const PASSWD = 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/home/web:/bin/sh\n';

const never = new AbortController().signal;

/** Words of commands in a task. */
const WORDS: { readonly [kind in CommandKind]: readonly string[] } = {
  both: ['/bin/sh', '-c', 'echo to-out; echo to-err >&2; exit 7'],
  cat: ['cat'],
  mark: ['/bin/sh', '-c', 'echo "$MARK"'],
  size: ['/bin/sh', '-c', 'trap "stty size" WINCH; stty size; while :; do sleep 0.05; done'],
  hang: ['/bin/sh', '-c', 'echo READY; sleep 999 & while :; do sleep 1000; done'],
  missing: ['/no/such/command'],
};

/** Process 1 of a container ignores what it does not handle; 1234 marks what only waits. */
const TEXTS: { readonly [kind in TaskKind]: string } = {
  run: 'trap "exit 143" TERM; echo READY; while :; do sleep 1234 & wait $!; done',
  exit3: 'echo READY; exit 3',
  stubborn: 'trap "" TERM; echo READY; while :; do sleep 1234; done',
  hungry: 'echo READY; sleep 0.5; exec tail -c 90000000 /dev/zero',
  talk: 'echo READY; i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done',
  escaping:
    'trap "exit 143" TERM; setsid sh -c "echo READY; exec sleep 999" & ' +
    'while :; do sleep 1234 & wait $!; done',
};

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

/** The same for what builds networks. */
function cuttableNetwork(router: Router, io: CutIo): ContainerNetwork {
  return {
    open: () => router.open(),
    get address() {
      return router.address;
    },
    namespacePath: (taskId) => router.namespacePath(taskId),
    containerAddress: (endpoint) => router.containerAddress(endpoint),
    async attach(endpoint) {
      io.step('attach');
      await router.attach(endpoint);
      io.check();
    },
    adopt: (endpoint) => router.adopt(endpoint),
    unconfirmed: (taskId) => router.unconfirmed(taskId),
    async detach(taskId) {
      io.step('detach');
      await router.detach(taskId);
      io.check();
    },
    attached: () => router.attached(),
    destroy: () => router.destroy(),
  };
}

/** A daemon that is dead calls nothing more; each call that changes something is a step. */
function cuttable(client: Containerd, io: CutIo): Containerd {
  return {
    async call(method, request, options) {
      const name = method.path.replace('/containerd.services.', '');
      if (/(Get|List|Stat|Info|Mounts|Wait|Version|Plugins|Status)$/.test(name)) io.check();
      else io.step(name);
      return client.call(method, request, options);
    },
    list: (method, request, options) => client.list(method, request, options),
    write: (options) => client.write(options),
    close: () => client.close(),
  };
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const clock = new SystemClock();
  const endMs = clock.monotonicMs() + 15_000;
  while (!(await holds())) {
    if (clock.monotonicMs() > endMs) throw new Error(`${what} never came`);
    await new Promise<void>((resolve) => clock.setTimer(5, resolve));
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

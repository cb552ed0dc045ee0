import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../support/swarm.ts';
import { memoryOf } from './memory.ts';
import { pollUntil, type Side, type Wanted } from './side.ts';

interface DockerTask {
  readonly DesiredState: string;
  readonly Spec: { readonly ContainerSpec: { readonly Env?: readonly string[] } };
  readonly Status: {
    readonly State: string;
    readonly ContainerStatus?: { readonly ContainerID: string; readonly ExitCode: number };
  };
}

/** A dockerd of the bench's own in swarm mode: its roots, its socket, its containerd. */
export class DockerSide implements Side {
  readonly name = 'docker';
  readonly #directory = mkdtempSync(join(tmpdir(), 'swarm-bdk-'));
  readonly #process: ChildProcess;
  /** Containers that are no tasks, by name: services of Docker have no CPU shares. */
  readonly #containers = new Map<string, string>();

  private constructor(insecure: string) {
    const place = this.#directory;
    const log = openSync(join(place, 'log'), 'w');
    this.#process = spawn(
      'dockerd',
      [
        ...['--data-root', `${place}/root`, '--exec-root', `${place}/exec`],
        ...['--pidfile', `${place}/pid`, '-H', `unix://${place}/d.sock`],
        ...['--insecure-registry', insecure, '--storage-driver', 'overlay2'],
        ...['--log-opt', 'max-size=10m', '--log-opt', 'max-file=3'],
      ],
      { stdio: ['ignore', log, log] },
    );
  }
  static async start(insecure: string): Promise<DockerSide> {
    const docker = new DockerSide(insecure);
    await until('dockerd', async () => {
      const answer = await docker.#ask('GET', '/_ping').catch(() => undefined);
      return answer?.status === 200 ? true : undefined;
    });
    const addresses = { ListenAddr: '127.0.0.1:2377', AdvertiseAddr: '127.0.0.1' };
    await docker.#must('POST', '/swarm/init', addresses);
    return docker;
  }

  async create(wanted: Wanted): Promise<number> {
    if (wanted.cpuShares !== undefined) return this.#createContainer(wanted);
    await this.#must('POST', '/services/create', specOf(wanted));
    return this.#untilRunning(wanted);
  }
  async update(wanted: Wanted): Promise<number> {
    const path = `/services/${wanted.name}`;
    const { Version } = (await this.#must('GET', path)) as { Version: { Index: number } };
    await this.#must('POST', `${path}/update?version=${Version.Index}`, specOf(wanted));
    return this.#untilRunning(wanted);
  }
  async remove(name: string): Promise<number> {
    const container = this.#containers.get(name);
    if (container !== undefined) return this.#removeContainer(name, container);
    const label = `com.docker.swarm.service.name=${name}`;
    await this.#must('DELETE', `/services/${name}`);
    return pollUntil(`the end of ${name}`, async () => {
      const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
      const containers = (await this.#must('GET', `/containers/json?filters=${filters}`)) as [];
      if (containers.length > 0) return false;
      const tasks = (await this.#must('GET', '/tasks')) as { ServiceID: string }[];
      return tasks.length === 0;
    });
  }
  async ended(name: string): Promise<{ readonly code: number; readonly oom: boolean }> {
    const task = await until(`the end of ${name}`, async () => {
      const [first] = await this.#tasks(name);
      return first && ['failed', 'complete'].includes(first.Status.State) ? first : undefined;
    });
    const id = task.Status.ContainerStatus!.ContainerID;
    const container = await this.#must('GET', `/containers/${id}/json`);
    const { State } = container as { State: { OOMKilled: boolean; ExitCode: number } };
    return { code: State.ExitCode, oom: State.OOMKilled };
  }
  async cpuNanos(name: string): Promise<number> {
    const known = this.#containers.get(name);
    const id = known ?? (await this.#tasks(name))[0]!.Status.ContainerStatus!.ContainerID;
    const stats = await this.#must('GET', `/containers/${id}/stats?stream=false&one-shot=true`);
    return (stats as { cpu_stats: { cpu_usage: { total_usage: number } } }).cpu_stats.cpu_usage
      .total_usage;
  }
  memory(): { readonly daemons: number; readonly beside: number } {
    const beside = memoryOf([`containerd-shim-runc-v2 -namespace moby`]);
    const daemons = memoryOf([`${this.#directory}/pid`, `containerd --config ${this.#directory}`]);
    return { daemons, beside };
  }
  async stop(): Promise<void> {
    await this.#ask('POST', '/swarm/leave?force=1').catch(() => undefined);
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGTERM');
    await ended;
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 3 });
  }
  /** What dockerd wrote, for who looks why it did not start. */
  get log(): string {
    return readFileSync(join(this.#directory, 'log'), 'utf8');
  }

  async #createContainer({ name, image, command, cpuShares }: Wanted): Promise<number> {
    const startMs = performance.now();
    const [first, ...args] = command;
    const spec = {
      Image: image,
      Entrypoint: [first],
      Cmd: args,
      HostConfig: { CpuShares: cpuShares },
    };
    const made = await this.#must('POST', `/containers/create?name=${name}`, spec);
    const { Id } = made as { Id: string };
    this.#containers.set(name, Id);
    await this.#must('POST', `/containers/${Id}/start`);
    return performance.now() - startMs;
  }
  async #removeContainer(name: string, id: string): Promise<number> {
    const startMs = performance.now();
    await this.#must('DELETE', `/containers/${id}?force=1`);
    this.#containers.delete(name);
    return performance.now() - startMs;
  }
  async #untilRunning({ name, replicas, version = 'a' }: Wanted): Promise<number> {
    return pollUntil(`${replicas} of ${name}`, async () => {
      const running = (await this.#tasks(name)).filter(
        ({ DesiredState, Status, Spec }) =>
          DesiredState === 'running' &&
          Status.State === 'running' &&
          Spec.ContainerSpec.Env?.includes(`VERSION=${version}`),
      );
      return running.length >= replicas;
    });
  }
  async #tasks(name: string): Promise<readonly DockerTask[]> {
    const filters = encodeURIComponent(JSON.stringify({ service: [name] }));
    return (await this.#must('GET', `/tasks?filters=${filters}`)) as DockerTask[];
  }
  async #must(method: string, path: string, body?: object): Promise<unknown> {
    const { status, text } = await this.#ask(method, path, body);
    if (status >= 300) throw new Error(`docker ${method} ${path}: ${status} ${text}`);
    return text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : undefined;
  }
  #ask(
    method: string,
    path: string,
    body?: object,
  ): Promise<{ readonly status: number; readonly text: string }> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json' };
      const options = { socketPath: `${this.#directory}/d.sock`, method, path, headers };
      const call = request(options, (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk) => {
          text += chunk;
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text: text.trim() }));
      });
      call.on('error', reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

function specOf({ name, image, command, replicas, version = 'a', ...rest }: Wanted): object {
  return {
    Name: name,
    TaskTemplate: {
      ContainerSpec: {
        Image: image,
        Command: command,
        Env: [`VERSION=${version}`],
        StopSignal: 'SIGKILL',
      },
      Resources: {
        Limits: { MemoryBytes: rest.memoryBytes ?? 0, NanoCPUs: rest.nanoCpus ?? 0 },
      },
      RestartPolicy: { Condition: rest.once === true ? 'none' : 'any' },
    },
    Mode: { Replicated: { Replicas: replicas } },
    UpdateConfig: { Parallelism: 10, Order: 'stop-first' },
  };
}

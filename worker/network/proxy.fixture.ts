/** What the tests of the proxy network share: a swarmd's network with a real netd process. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { ListenFailure } from '../../proto/index.ts';
import { delay, SystemClock } from '../../shared/clock.ts';
import type { Log } from '../../shared/log.ts';
import { SystemRandom } from '../../shared/random.ts';
import {
  NODE_ID,
  netdScript,
  type RowsOptions,
  service,
  TestClient,
  temporaryDirectory,
} from './netd/netd.fixture.ts';
import type { PulseTimes } from './netd-pulse.ts';
import { ProxyNetwork } from './proxy-network.ts';

interface Applied {
  readonly index: number;
  readonly failures: readonly ListenFailure[];
}

/** A swarmd's network with a real netd process, and what was seen of both. */
class Node {
  readonly stateDir: string;
  readonly pids: number[] = [];
  readonly events: { fields: Record<string, unknown>; message: string }[] = [];
  network!: ProxyNetwork;
  /** Of this node's daemons: how soon they take a netd for hung. */
  pulse: PulseTimes | undefined;
  #applied: Applied[] = [];
  #wake: () => void = () => undefined;

  constructor(stateDir: string) {
    this.stateDir = stateDir;
  }
  /** A new swarmd of this version on the same state directory. */
  async daemon(versionText = '1.0.0'): Promise<ProxyNetwork> {
    const script = await netdScript();
    this.network = new ProxyNetwork({
      stateDir: this.stateDir,
      nodeId: NODE_ID,
      publishAddress: '127.0.0.1',
      versionText,
      netd: { execPath: process.execPath, args: [script, versionText, `${process.pid}`] },
      clock: new SystemClock(),
      random: new SystemRandom(),
      log: this.#log(),
      ...(this.pulse === undefined ? {} : { pulse: this.pulse }),
    });
    this.network.onApplied((index, failures) => {
      this.#applied.push({ index, failures });
      this.#wake();
    });
    await this.network.start();
    return this.network;
  }
  async publish(index: number, options: RowsOptions): Promise<readonly ListenFailure[]> {
    this.network.apply({ index, services: [service(options)] });
    return this.until(() => this.applied(index));
  }
  /** What was said of these rows, once it was. */
  applied(index: number): readonly ListenFailure[] | undefined {
    return this.#applied.find((each) => each.index === index)?.failures;
  }
  /** The pid of the netd that this daemon talks to, once it does. */
  connected(version = '1.0.0'): Promise<number> {
    return this.until(() => {
      const said = this.events.findLast((event) => event.message === 'connected to netd');
      return said?.fields['version'] === version ? (said.fields['pid'] as number) : undefined;
    });
  }
  forget(): void {
    this.events.length = 0;
    this.#applied = [];
  }
  async until<T>(look: () => T | undefined): Promise<T> {
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
  #log(): Log {
    const note = (fields: object, message: string): void => {
      this.events.push({ fields: fields as Record<string, unknown>, message });
      const pid = (fields as { pid?: number }).pid;
      if (pid !== undefined && !this.pids.includes(pid)) this.pids.push(pid);
      this.#wake();
    };
    const log: Log = { debug: note, info: note, warn: note, error: note, child: () => log };
    return log;
  }
}

export async function startNode(t: TestContext): Promise<Node> {
  const node: Node = new Node(
    temporaryDirectory(t, async () => {
      await node.network.destroy();
      for (const pid of node.pids) {
        kill(pid);
        await gone(pid);
      }
    }),
  );
  await node.daemon();
  return node;
}

export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended, as it should.
  }
}

/** Resolves when the process is gone. */
export async function gone(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(statusOf(pid)))
    await delay(new SystemClock(), 20);
}
function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return '';
  }
}

export async function rowsAreSaved(node: Node): Promise<void> {
  while (!existsSync(join(node.stateDir, 'netd.rows'))) await new Promise(setImmediate);
}

/** Asks until the published port answers. */
export async function answers(port: number): Promise<string> {
  for (;;) {
    const client = new TestClient(port);
    const text = await client.until('\n').then(
      () => client.text,
      () => '',
    );
    client.socket.destroy();
    if (text !== '') return text;
  }
}

export async function request(
  port: number,
  requests: { left: number; lost: number },
): Promise<void> {
  while (requests.left-- > 0) if (!(await askOnce(port))) requests.lost++;
}

async function askOnce(port: number): Promise<boolean> {
  const client = new TestClient(port);
  client.socket.write('question\n');
  const answered = await client.until('question\n').then(
    () => true,
    () => false,
  );
  client.socket.destroy();
  return answered;
}

export function askAllTheTime(port: number): { stop(): Promise<{ asked: number; lost: number }> } {
  let going = true;
  let [asked, lost] = [0, 0];
  const loop = (async () => {
    while (going) {
      asked++;
      if (!(await askOnce(port))) lost++;
    }
  })();
  return {
    stop: async () => {
      going = false;
      await loop;
      return { asked, lost };
    },
  };
}

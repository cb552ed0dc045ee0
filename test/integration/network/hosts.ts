import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Ran, ROOT, run } from '../../support/swarm.ts';

/** Machines made of network namespaces: hosts on a bridge, each with an address and a way out. */
export class Hosts {
  readonly names: readonly string[];
  readonly #lan: string;
  readonly #peers: Peer[] = [];

  private constructor(lan: string, names: readonly string[]) {
    this.#lan = lan;
    this.names = names;
  }
  static async make(count: number): Promise<Hosts> {
    const letters = randomBytes(3).toString('hex');
    const hosts = new Hosts(
      `sh-${letters}-lan`,
      Array.from({ length: count }, (_, at) => `sh-${letters}-${at + 1}`),
    );
    await hosts.#build();
    return hosts;
  }
  /** The nth host's address, from 1; the bridge itself, where clients are, is 254. */
  address(host: number): string {
    return `192.168.99.${10 + host}`;
  }
  address6(host: number): string {
    return `fd99::${10 + host}`;
  }
  name(host: number): string {
    return this.names[host - 1]!;
  }
  get outside(): string {
    return this.#lan;
  }
  /** A line of shell in a host's network. */
  sh(namespace: string, line: string): Promise<Ran> {
    return run('nsenter', [`--net=/run/netns/${namespace}`, 'sh', '-c', line]);
  }
  async must(namespace: string, line: string): Promise<string> {
    const ran = await this.sh(namespace, line);
    if (ran.code !== 0) throw new Error(`${line}: exit ${ran.code}\n${ran.stdout}${ran.stderr}`);
    return ran.stdout;
  }
  /** A program in a network namespace, given by its name or its path. */
  async peer(namespace: string, name: string): Promise<Peer> {
    const peer = await Peer.start(namespace, name);
    this.#peers.push(peer);
    return peer;
  }
  /** What a node left in this machine's list of namespaces. */
  async removeOf(short: string): Promise<void> {
    const names = readdirSync('/run/netns').filter((name) => /^sw[rt]-/.test(name));
    for (const name of names.filter((each) => each.includes(short)))
      await run('ip', ['netns', 'del', name]);
  }
  endPeers(): void {
    for (const peer of this.#peers.splice(0)) peer.end();
  }
  async end(): Promise<void> {
    this.endPeers();
    for (const name of [...this.names, this.#lan])
      await run('sh', ['-c', `[ ! -e /run/netns/${name} ] || ip netns del ${name}`]);
  }
  async #build(): Promise<void> {
    await mustIp(`netns add ${this.#lan}`);
    const lan = `-n ${this.#lan}`;
    await mustIp(`${lan} link set lo up`);
    await mustIp(`${lan} link add br0 type bridge`);
    await mustIp(`${lan} addr add 192.168.99.254/24 dev br0`);
    await mustIp(`${lan} addr add fd99::254/64 dev br0 nodad`);
    await mustIp(`${lan} link set br0 up`);
    for (const [at, name] of this.names.entries()) {
      await mustIp(`netns add ${name}`);
      // A new namespace has what the machine has now.
      await this.must(name, 'echo 0 >/proc/sys/net/ipv4/ip_forward');
      await mustIp(`${lan} link add h${at} type veth peer name eth0 netns ${name}`);
      await mustIp(`${lan} link set h${at} master br0 up`);
      for (const line of [
        'link set lo up',
        `addr add ${this.address(at + 1)}/24 dev eth0`,
        `addr add ${this.address6(at + 1)}/64 dev eth0 nodad`,
        'link set eth0 up',
        'route add default via 192.168.99.254',
        '-6 route add default via fd99::254',
      ])
        await mustIp(
          line.startsWith('-6') ? `-6 -n ${name} ${line.slice(3)}` : `-n ${name} ${line}`,
        );
    }
  }
}

async function mustIp(line: string): Promise<void> {
  const ran = await run('ip', line.split(' '));
  if (ran.code !== 0) throw new Error(`ip ${line}: ${ran.stderr}`);
}

function pathOf(namespace: string): string {
  return namespace.startsWith('/') ? namespace : `/run/netns/${namespace}`;
}

/** A program in one network namespace that serves and asks. */
export class Peer {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (line: { answer?: unknown; error?: string }) => void>();
  #calls = 0;
  /** Why it answers no more. */
  #ended = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdin!.on('error', () => undefined);
  }
  static start(namespace: string, name: string): Promise<Peer> {
    const script = join(ROOT, 'dist', 'test', 'integration', 'network', 'peer-main.js');
    const child = spawn('nsenter', [`--net=${pathOf(namespace)}`, process.execPath, script, name], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const peer = new Peer(child);
    return new Promise((resolve, reject) => {
      child.once('exit', (code) => {
        const error = `peer ${name} ended with ${code}`;
        reject(new Error(error));
        peer.#ended = error;
        for (const answer of peer.#waiting.values()) answer({ error });
        peer.#waiting.clear();
      });
      createInterface({ input: child.stdout! }).on('line', (line) => {
        const answer = JSON.parse(line) as { id: number; answer?: unknown; error?: string };
        if (answer.id === 0) resolve(peer);
        peer.#waiting.get(answer.id)?.(answer);
        peer.#waiting.delete(answer.id);
      });
    });
  }
  call<T = string>(call: string, ...args: readonly unknown[]): Promise<T> {
    if (this.#ended !== '') return Promise.reject(new Error(this.#ended));
    const id = ++this.#calls;
    this.#child.stdin!.write(`${JSON.stringify({ id, call, args })}\n`);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ answer, error }) => {
        if (error === undefined) resolve(answer as T);
        else reject(new Error(error));
      });
    });
  }
  /** So often, and who answered with which client address, without doubles. */
  async times(count: number, call: string, ...args: readonly unknown[]): Promise<string[]> {
    const answers = await Promise.all(
      Array.from({ length: count }, () => this.call<string | string[]>(call, ...args)),
    );
    return [...new Set(answers.flat())].sort();
  }
  end(): void {
    this.#child.removeAllListeners('exit');
    this.#child.kill('SIGKILL');
  }
}

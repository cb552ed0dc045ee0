import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, type Ran, run, tempDir } from './swarm.ts';

/** Places that an installed swarm writes to: each machine has its own on top of the host's. */
const PLACES = ['/opt', '/etc', '/usr/local', '/var/lib'];

/**
 * A machine of a test's own: a mount namespace whose places for installed programs and state are in
 * a scratch folder, and where it is given an address, a network namespace on the test's bridge.
 * Root only.
 */
export class Machine {
  readonly address: string;
  readonly #pid: number;
  readonly #end: () => Promise<void>;

  private constructor(pid: number, address: string, end: () => Promise<void>) {
    this.#pid = pid;
    this.address = address;
    this.#end = end;
  }

  /** Without `lan` it shares the network of the host. */
  static async make(lan?: { readonly bridge: Lan; readonly address: string }): Promise<Machine> {
    const scratch = tempDir();
    const mounts = PLACES.map((place, at) => {
      const [upper, work] = [join(scratch.path, `u${at}`), join(scratch.path, `w${at}`)];
      mkdirSync(upper);
      mkdirSync(work);
      return `mount -t overlay overlay -o lowerdir=${place},upperdir=${upper},workdir=${work} ${place}`;
    });
    const script = ['mount -t tmpfs tmpfs /run', ...mounts, 'echo up', 'exec sleep 900 >/dev/null'];
    const spaces = ['--mount', '--propagation', 'private', ...(lan ? ['--net', '--uts'] : [])];
    const child = spawn('unshare', [...spaces, 'sh', '-c', script.join(' && ')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.once('exit', (code) => reject(new Error(`unshare ended with ${code}`)));
    });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const end = async (): Promise<void> => {
      child.kill('SIGKILL');
      await ended;
      scratch.remove();
    };
    const machine = new Machine(child.pid!, lan?.address ?? '127.0.0.1', end);
    if (lan) await lan.bridge.connect(child.pid!, lan.address);
    return machine;
  }

  /** Of the process that holds its namespaces. */
  get pid(): number {
    return this.#pid;
  }

  /** Runs a line of shell there, as root, with nothing of this test in its environment. */
  sh(line: string, input = ''): Promise<Ran> {
    const into = ['--mount', '--net', '--uts', `--target=${this.#pid}`];
    const home = ['env', '-i', 'HOME=/root', `PATH=${process.env['PATH']}:/usr/sbin:/sbin`];
    return run('nsenter', [...into, ...home, 'sh', '-c', line], { cwd: '/', input });
  }
  /** The same; a failure is the test's. */
  async must(line: string, input = ''): Promise<string> {
    const ran = await this.sh(line, input);
    if (ran.code !== 0) throw new Error(`${line}: exit ${ran.code}\n${ran.stdout}${ran.stderr}`);
    return ran.stdout;
  }

  /** Its mounts and network go with its last process: what runs there is to be ended before. */
  end(): Promise<void> {
    return this.#end();
  }
}

/** A bridge in a network namespace of its own, so that nothing of the host's network is touched. */
export class Lan {
  readonly #pid: number;
  readonly #end: () => Promise<void>;
  #ports = 0;

  private constructor(pid: number, end: () => Promise<void>) {
    this.#pid = pid;
    this.#end = end;
  }

  static async make(): Promise<Lan> {
    const script =
      'ip link add br0 type bridge && ip link set br0 up && echo up && exec sleep 900 >/dev/null';
    const child = spawn('unshare', ['--net', 'sh', '-c', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.once('exit', (code) => reject(new Error(`unshare ended with ${code}`)));
    });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    return new Lan(child.pid!, () => {
      child.kill('SIGKILL');
      return ended;
    });
  }

  /** Gives the network namespace of `pid` an eth0 with `address`/24 and a default route. */
  async connect(pid: number, address: string): Promise<void> {
    const port = `p${this.#ports++}`;
    const gateway = address.replace(/\d+$/, '254');
    await this.#ip(`link add ${port} type veth peer name eth0 netns ${pid}`);
    await this.#ip(`link set ${port} master br0 up`);
    const there = (line: string) =>
      mustRun('nsenter', [`--net=/proc/${pid}/ns/net`, 'ip', ...line.split(' ')]);
    await there('link set lo up');
    await there(`addr add ${address}/24 dev eth0`);
    await there('link set eth0 up');
    await there(`route add default via ${gateway}`);
  }

  end(): Promise<void> {
    return this.#end();
  }

  #ip(line: string): Promise<string> {
    return mustRun('nsenter', [`--net=/proc/${this.#pid}/ns/net`, 'ip', ...line.split(' ')]);
  }
}

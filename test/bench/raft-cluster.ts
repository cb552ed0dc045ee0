import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { firstState } from '../../manager/bootstrap-rows.ts';
import { issueFor } from '../../manager/ca/secrets.ts';
import { openLevel, systemDisk } from '../../manager/database/index.ts';
import { createFirstMember, createJoiningMember } from '../../manager/raft/index.ts';
import {
  Availability,
  type ClusterSecrets,
  Role,
  ClusterSecrets as SecretsCodec,
} from '../../proto/index.ts';
import { SystemClock } from '../../shared/clock.ts';
import { SystemRandom } from '../../shared/random.ts';
import { newKey, publicKeyOf } from '../../shared/tls/csr.ts';
import { type Identity, makeIdentity } from '../../shared/tls/identity.ts';
import type { MemberHost, MemberHosts } from './raft-hosts.ts';
import type { Command, MemberOptions, Replies } from './raft-protocol.ts';

const CLUSTER_ID = 'benchcluster0000000000000';
const CERTIFICATE_MS = 24 * 3_600_000;
const POLL_MS = 10;
const clock = new SystemClock();
const random = new SystemRandom();

/** One manager process. */
export class MemberProcess {
  readonly raftId: number;
  readonly nodeId: string;
  readonly options: MemberOptions;
  readonly #host: MemberHost | undefined;
  readonly #waiting = new Map<number, { ok(value: unknown): void; bad(error: Error): void }>();
  #child: ChildProcess | undefined;
  #nextId = 1;

  /** `host`: where it is to run, if not here. */
  constructor(raftId: number, nodeId: string, options: MemberOptions, host?: MemberHost) {
    this.#host = host;
    this.raftId = raftId;
    this.nodeId = nodeId;
    this.options = options;
  }

  /** Starts the process and opens its state. `flags`: for node itself, such as --cpu-prof. */
  async start(flags: readonly string[] = []): Promise<Replies['open']> {
    const entry = `raft-member${extname(fileURLToPath(import.meta.url))}`;
    const path = fileURLToPath(new URL(entry, import.meta.url));
    const execArgv = [...process.execArgv, ...flags];
    const enter = [`--net=/proc/${this.#host?.pid}/ns/net`, process.execPath, ...execArgv];
    const how = this.#host ? { execPath: 'nsenter', execArgv: enter } : { execArgv };
    const child = fork(path, how);
    this.#child = child;
    child.on('message', ({ id, value, error }: { id: number; value?: unknown; error?: string }) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.ok(value);
      else waiting?.bad(new Error(`member ${this.raftId}: ${error}`));
    });
    child.on('exit', () => {
      for (const { bad } of this.#waiting.values()) bad(new Error(`member ${this.raftId} ended`));
      this.#waiting.clear();
    });
    return this.ask({ kind: 'open', options: this.options });
  }

  ask<C extends Command>(command: C): Promise<Replies[C['kind']]> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { ok: resolve as (value: unknown) => void, bad: reject });
      this.#child?.send({ id, command });
    });
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }
  /** Stands still: nothing is refused, nothing is answered. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }
  thaw(): void {
    this.#child?.kill('SIGCONT');
  }
  /** SIGKILL; the state stays. */
  async kill(): Promise<void> {
    await this.#end((child) => child.kill('SIGKILL'));
  }
  async stop(): Promise<void> {
    await this.ask({ kind: 'stop' });
    await this.#end((child) => child.disconnect());
  }
  async #end(how: (child: ChildProcess) => void): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    how(child);
    await gone;
  }
}

/** Managers on loopback with state directories on the real disk. */
export class RaftCluster {
  readonly members: MemberProcess[] = [];
  readonly directory: string;
  readonly identity: Identity;
  readonly #secrets: ClusterSecrets;
  readonly #hosts: MemberHosts | undefined;

  private constructor(
    directory: string,
    identity: Identity,
    secrets: ClusterSecrets,
    hosts: MemberHosts | undefined,
  ) {
    this.#hosts = hosts;
    this.directory = directory;
    this.identity = identity;
    this.#secrets = secrets;
  }

  /** `hosts`: where they run, if not here on loopback. */
  static async up(
    count: number,
    flags: readonly string[] = [],
    hosts?: MemberHosts,
  ): Promise<RaftCluster> {
    const directory = await mkdtemp(join(tmpdir(), 'swarm-bench-raft-'));
    const address = hosts?.of(1).address ?? (await freeAddress());
    const first = { clusterId: CLUSTER_ID, nodeId: nodeIdOf(1), raftId: 1, nodeName: 'm1' };
    const cluster = { ...first, address, availability: Availability.ACTIVE, spec: null };
    const { identity, rows } = await firstState(cluster, clock, random);
    const secretsRow = rows.find((row) => row.table === 'clusterSecrets');
    const secrets = SecretsCodec.decode(secretsRow!.bytes!);
    const up = new RaftCluster(directory, identity, secrets, hosts);
    const options = optionsOf(join(directory, 'm1'), address, identity);
    await createFirstMember(options.directory, { ...first, epoch: 1, address }, rows, {
      disk: systemDisk,
      random,
      openEngine: openLevel,
    });
    const member = new MemberProcess(1, nodeIdOf(1), options, hosts?.of(1));
    up.members.push(member);
    await member.start(flags);
    await up.leader();
    for (let raftId = 2; raftId <= count; raftId++) await up.join(raftId, 'voter', flags);
    return up;
  }

  /** A new member: learner, caught up, then voter where that is asked. */
  async join(
    raftId: number,
    as: 'learner' | 'voter',
    flags: readonly string[] = [],
  ): Promise<MemberProcess> {
    const nodeId = nodeIdOf(raftId);
    const address = this.#hosts?.of(raftId).address ?? (await freeAddress());
    const identity = await this.#identityOf(nodeId);
    const options = optionsOf(join(this.directory, `m${raftId}`), address, identity);
    const leader = await this.leader();
    const peers = this.members.map(peerOf);
    await createJoiningMember(
      options.directory,
      { clusterId: CLUSTER_ID, epoch: 1, nodeId, raftId },
      peers,
      { disk: systemDisk, random, openEngine: openLevel },
    );
    const member = new MemberProcess(raftId, nodeId, options, this.#hosts?.of(raftId));
    this.members.push(member);
    await member.start(flags);
    const { appliedIndex } = await leader.ask({ kind: 'status' });
    const peer = peerOf(member);
    await leader.ask({ kind: 'change', change: { kind: 'add-learner', peer } });
    await until(async () => (await member.ask({ kind: 'status' })).appliedIndex >= appliedIndex);
    if (as === 'learner') return member;
    await leader.ask({ kind: 'change', change: { kind: 'add-voter', peer } });
    return member;
  }

  /** Who leads; waits for somebody to. */
  async leader(): Promise<MemberProcess> {
    let found: MemberProcess | undefined;
    await until(async () => {
      for (const member of this.members) {
        const status = await member.ask({ kind: 'status' }).catch(() => undefined);
        if (status?.isLeader) found = member;
      }
      return found !== undefined;
    });
    return found!;
  }

  /** All members have applied what the leader had when this was called. */
  async settled(): Promise<void> {
    const { appliedIndex } = await (await this.leader()).ask({ kind: 'status' });
    await until(async () => {
      const all = await Promise.all(this.members.map((m) => m.ask({ kind: 'status' })));
      return all.every((status) => status.appliedIndex >= appliedIndex);
    });
  }

  async down(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    await rm(this.directory, { recursive: true, force: true });
  }

  async #identityOf(nodeId: string): Promise<Identity> {
    const keyPem = await newKey();
    const subject = { nodeId, role: Role.MANAGER, clusterId: CLUSTER_ID };
    const spki = publicKeyOf(keyPem);
    const issued = issueFor(this.#secrets, subject, spki, CERTIFICATE_MS, clock.wallMs(), random);
    return makeIdentity(issued.certificatePem, keyPem, this.identity.rootPem);
  }
}

export async function until(done: () => Promise<boolean>): Promise<void> {
  while (!(await done())) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

export async function freeAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}

function nodeIdOf(raftId: number): string {
  return `benchnode${String(raftId).padStart(16, '0')}`;
}

function peerOf({ raftId, nodeId, options }: MemberProcess) {
  return { raftId, nodeId, address: options.address };
}

function optionsOf(directory: string, address: string, identity: Identity): MemberOptions {
  const { certificatePem, keyPem, rootPem } = identity;
  return { directory, address, certificatePem, keyPem, rootPem };
}

import { Availability, CaService, Cluster, Role } from '../../proto/index.ts';
import { type Clock, SystemClock } from '../../shared/clock.ts';
import { type Joined, joinCluster } from '../../shared/enrolment/join.ts';
import { SystemIds } from '../../shared/ids.ts';
import { silentLog } from '../../shared/log.ts';
import { SystemRandom } from '../../shared/random.ts';
import { dial } from '../../shared/rpc/client.ts';
import type { Client, Handlers, ServiceDefinition } from '../../shared/rpc/rpc.ts';
import { RpcServer } from '../../shared/rpc/server.ts';
import { newKey, publicKeyOf } from '../../shared/tls/csr.ts';
import { type Identity, makeIdentity } from '../../shared/tls/identity.ts';
import { LiveIdentity } from '../../shared/tls/live-identity.ts';
import { LocalStore } from '../store/local-store.fixture.ts';
import { StoreAuthorizer } from './authorizer.ts';
import { Ca } from './ca.ts';
import { issueFor, newClusterSecrets } from './secrets.ts';

/** For tests: one manager's store, CA and server on real sockets with real certificates. */
export class TestCluster {
  readonly clock: Clock;
  readonly random = new SystemRandom();
  readonly ids = new SystemIds();
  readonly store: LocalStore;
  readonly clusterId: string;
  readonly managerId: string;
  readonly live: LiveIdentity;
  readonly ca: Ca;
  readonly server: RpcServer;
  address = '';
  readonly #clients: Client[] = [];

  private constructor(store: LocalStore, clock: Clock, live: LiveIdentity) {
    this.store = store;
    this.clock = clock;
    this.live = live;
    this.clusterId = live.current.subject.clusterId;
    this.managerId = live.current.subject.nodeId;
    const { random } = this;
    this.ca = new Ca({ store, clock, random, managers: () => [this.address] });
    const authorizer = new StoreAuthorizer(store, {
      isLeader: true,
      hasLeader: true,
      leader: () => ({ nodeId: this.managerId }),
    });
    this.server = new RpcServer({ clock: new SystemClock(), log: silentLog, authorizer });
    this.server.addService(CaService, this.ca.handlers);
  }

  static async start(clock: Clock = new SystemClock(), lifeMs = 3_600_000): Promise<TestCluster> {
    const ids = new SystemIds();
    const random = new SystemRandom();
    const store = new LocalStore({ clock, ids });
    const clusterId = ids.next();
    const cluster = { id: 'cluster', clusterId, spec: { certExpiryMs: lifeMs } };
    await store.put('cluster', 'users', Cluster.create(cluster));
    const secrets = await newClusterSecrets(clusterId, clock.wallMs(), random);
    await store.put('clusterSecrets', 'ca', secrets);
    const keyPem = await newKey();
    const subject = { nodeId: ids.next(), role: Role.MANAGER, clusterId };
    const wallMs = clock.wallMs();
    const issued = issueFor(secrets, subject, publicKeyOf(keyPem), lifeMs, wallMs, random);
    await store.put('certificate', 'ca', issued.row);
    const rootPem = Buffer.from(secrets.rootCertificate).toString('utf8');
    const live = new LiveIdentity(makeIdentity(issued.certificatePem, keyPem, rootPem));
    const made = new TestCluster(store, clock, live);
    const port = await made.server.listenTls('127.0.0.1', 0, live.serverCredentials());
    made.address = `127.0.0.1:${port}`;
    return made;
  }

  add<S extends ServiceDefinition>(definition: S, handlers: Handlers<S>): void {
    this.server.addService(definition, handlers);
  }

  async join(role: Role, hostname = 'host', keyPem?: string): Promise<Joined> {
    return joinCluster(
      {
        managers: [this.address],
        token: this.ca.token(role),
        keyPem: keyPem ?? (await newKey()),
        hostname,
        availability: Availability.ACTIVE,
      },
      this.clock,
    );
  }

  client(identity: Identity): Client {
    const tls = new LiveIdentity(identity);
    const client = dial(this.address, { tls, ownConnection: true });
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.server.stop();
  }
}

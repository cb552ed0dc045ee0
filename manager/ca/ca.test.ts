import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { Availability, CaService, type Certificate, Role } from '../../proto/index.ts';
import { type Clock, SystemClock } from '../../shared/clock.ts';
import { joinCluster } from '../../shared/enrolment/join.ts';
import { renewIdentity } from '../../shared/enrolment/renewal.ts';
import { dial } from '../../shared/rpc/client.ts';
import { anonymousSecurity } from '../../shared/tls/channel-security.ts';
import { makeCsr, newKey, publicKeyOf, renewalBytes, signWith } from '../../shared/tls/csr.ts';
import { makeIdentity } from '../../shared/tls/identity.ts';
import { LiveIdentity } from '../../shared/tls/live-identity.ts';
import { setCertificateRole } from './ca.ts';
import { TestCluster } from './cluster.fixture.ts';
import { issueFor } from './secrets.ts';

const clusters: TestCluster[] = [];
afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.stop();
});

async function start(clock?: Clock): Promise<TestCluster> {
  const cluster = await TestCluster.start(clock);
  clusters.push(cluster);
  return cluster;
}

function row(cluster: TestCluster, nodeId: string): Certificate | undefined {
  return cluster.store.view.table('certificate').get(nodeId);
}

test('a join makes the rows of a node and an identity that the root signed', async () => {
  const cluster = await start();
  const joined = await cluster.join(Role.WORKER, 'web');
  assert.deepEqual(joined.identity.subject, {
    nodeId: joined.nodeId,
    role: Role.WORKER,
    clusterId: cluster.clusterId,
  });
  assert.deepEqual(joined.managers, [cluster.address]);
  assert.equal(cluster.store.view.table('node').get(joined.nodeId)?.name, 'web');
  assert.ok(cluster.store.view.table('nodeStatus').has(joined.nodeId));
  assert.equal(row(cluster, joined.nodeId)?.serial, joined.identity.serial);
});

test('the manager token makes a manager', async () => {
  const cluster = await start();
  assert.equal((await cluster.join(Role.MANAGER)).identity.subject.role, Role.MANAGER);
});

test('two nodes with one hostname get different names', async () => {
  const cluster = await start();
  await cluster.join(Role.WORKER, 'web');
  const second = await cluster.join(Role.WORKER, 'web');
  assert.equal(cluster.store.view.table('node').get(second.nodeId)?.name, 'web-2');
});

test('a join repeated with the same key stays one node', async () => {
  const cluster = await start();
  const key = await newKey();
  const first = await cluster.join(Role.WORKER, 'web', key);
  const second = await cluster.join(Role.WORKER, 'web', key);
  assert.equal(second.nodeId, first.nodeId);
  assert.equal(cluster.store.view.table('node').size, 1);
});

test('a rotation that is retried under its id is done once', async () => {
  const cluster = await start();
  await cluster.ca.rotateToken(Role.WORKER, { requestId: 'r1' });
  const fresh = cluster.ca.token(Role.WORKER);
  await cluster.ca.rotateToken(Role.WORKER, { requestId: 'r1' });
  assert.equal(cluster.ca.token(Role.WORKER), fresh);
  await cluster.ca.rotateToken(Role.WORKER, { requestId: 'r2' });
  assert.notEqual(cluster.ca.token(Role.WORKER), fresh);
});

test('a rotated token is refused, the new one works, and neither stands in the error', async () => {
  const cluster = await start();
  const old = cluster.ca.token(Role.WORKER);
  await cluster.ca.rotateToken(Role.WORKER);
  const fresh = cluster.ca.token(Role.WORKER);
  assert.notEqual(fresh, old);
  const join = async (token: string) =>
    joinCluster(
      {
        managers: [cluster.address],
        token,
        keyPem: await newKey(),
        hostname: 'web',
        availability: Availability.ACTIVE,
      },
      cluster.clock,
    );
  await assert.rejects(join(old), (error: Error) => {
    assert.match(error.message, /wrong, or was rotated/);
    assert.ok(!error.message.includes(old.slice(-25)));
    return true;
  });
  assert.equal((await join(fresh)).role, Role.WORKER);
  assert.equal(cluster.store.view.table('node').size, 1);
});

test('a token of another cluster is refused before its secret is said', async () => {
  const cluster = await start();
  const other = await start();
  const options = {
    managers: [cluster.address],
    token: other.ca.token(Role.WORKER),
    keyPem: await newKey(),
    hostname: 'web',
    availability: Availability.ACTIVE,
  };
  await assert.rejects(joinCluster(options, cluster.clock), /not of the cluster at/);
});

test('a clock that is off is refused with how far', async () => {
  const cluster = await start();
  const system = new SystemClock();
  const ahead: Clock = {
    monotonicMs: () => system.monotonicMs(),
    setTimer: (ms, fn) => system.setTimer(ms, fn),
    wallMs: () => system.wallMs() + 300_000,
  };
  const options = {
    managers: [cluster.address],
    token: cluster.ca.token(Role.WORKER),
    keyPem: await newKey(),
    hostname: 'web',
    availability: Availability.ACTIVE,
  };
  await assert.rejects(joinCluster(options, ahead), /300 s ahead of the cluster's/);
  assert.equal(cluster.store.view.table('node').size, 0);
});

test('an expired certificate is renewed with its key', async () => {
  const cluster = await start();
  const { nodeId } = await cluster.join(Role.WORKER);
  const expired = await expiredIdentity(cluster, nodeId);
  assert.ok(expired.current.notAfterWallMs < cluster.clock.wallMs());
  const renewed = await renewIdentity(expired, [cluster.address]);
  assert.ok(renewed.notAfterWallMs > cluster.clock.wallMs());
  assert.equal(renewed.subject.nodeId, nodeId);
});

async function expiredIdentity(cluster: TestCluster, nodeId: string): Promise<LiveIdentity> {
  const keyPem = await newKey();
  const secrets = cluster.store.view.table('clusterSecrets').get('cluster')!;
  const subject = { nodeId, role: Role.WORKER, clusterId: cluster.clusterId };
  const yesterday = cluster.clock.wallMs() - 86_400_000;
  const spki = publicKeyOf(keyPem);
  const issued = issueFor(secrets, subject, spki, 60_000, yesterday, cluster.random);
  await cluster.store.put('certificate', 'ca', issued.row);
  const rootPem = Buffer.from(secrets.rootCertificate).toString('utf8');
  return new LiveIdentity(makeIdentity(issued.certificatePem, keyPem, rootPem));
}

test('renewal needs the known key and a nonce of this cluster', async () => {
  const cluster = await start();
  const { nodeId, identity } = await cluster.join(Role.WORKER);
  const client = dial(cluster.address, { tls: anonymousSecurity(identity.rootPem) });
  const { nonce } = await client.unary(CaService.renewalNonce, { nodeId });
  const thief = await newKey();
  const csr = makeCsr(thief);
  const forged = signWith(thief, renewalBytes(nonce, csr));
  await assert.rejects(
    client.unary(CaService.renewCertificate, { nodeId, csr, nonce, signature: forged }),
    { code: 'UNAUTHENTICATED' },
  );
  const own = new Uint8Array(nonce.length);
  const signature = signWith(identity.keyPem, renewalBytes(own, csr));
  await assert.rejects(
    client.unary(CaService.renewCertificate, { nodeId, csr, nonce: own, signature }),
    { code: 'UNAUTHENTICATED' },
  );
  client.close();
});

test('a removed node gets no certificate', async () => {
  const cluster = await start();
  const { nodeId, identity } = await cluster.join(Role.WORKER);
  await cluster.store.update((draft) => draft.delete('certificate', nodeId), { writer: 'users' });
  await assert.rejects(renewIdentity(new LiveIdentity(identity), [cluster.address]), {
    code: 'REMOVED',
  });
});

test('a renewed certificate has the role of the row', async () => {
  const cluster = await start();
  const { nodeId, identity } = await cluster.join(Role.WORKER);
  await setCertificateRole(cluster.store, nodeId, Role.MANAGER);
  const renewed = await renewIdentity(new LiveIdentity(identity), [cluster.address]);
  assert.equal(renewed.subject.role, Role.MANAGER);
});

test('a manager renews its own certificate alone, and its server shows it at once', async () => {
  const cluster = await start();
  const before = cluster.live.current;
  cluster.live.set(cluster.ca.renewOwn(before));
  assert.notEqual(cluster.live.current.serial, before.serial);
  const { identity } = await cluster.join(Role.WORKER);
  assert.equal(identity.subject.role, Role.WORKER);
});

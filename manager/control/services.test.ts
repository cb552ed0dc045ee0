import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CreateServiceRequest,
  ListRequest,
  PublishMode,
  RaftStatus,
  Ref,
  RollbackServiceRequest,
  ScaleServiceRequest,
  ServiceMode,
  ServiceSpec,
  UpdateServiceRequest,
} from '../../proto/index.ts';
import { aSpec, context, Fixture } from './control.fixture.ts';

const port = (published: number, mode: PublishMode = PublishMode.INGRESS) => ({
  endpoint: { ports: [{ target: 80, published, mode }] },
});
const create = (spec: ServiceSpec = aSpec()) =>
  CreateServiceRequest.with(CreateServiceRequest.create(), { spec });
const update = (ref: string, version: number, spec: ServiceSpec) =>
  UpdateServiceRequest.with(UpdateServiceRequest.create({ ref, version }), { spec });

test('a created service has its first revision, its defaults and an event', async () => {
  const at = new Fixture();
  const view = await at.control.createService(create(), context());
  const { service } = view;
  assert.equal(service!.revision, 1);
  assert.equal(service!.version, 1);
  assert.equal(service!.spec!.task!.process!.stopSignal, 'SIGTERM');
  const { revisions } = await at.control.getService(Ref.create({ ref: 'web' }), context());
  assert.deepEqual(
    revisions.map((row) => row.revision),
    [1],
  );
  const [events] = [...at.store.view.table('event').all()];
  assert.equal(events!.events[0]!.action, 'create');
});

test('a service without a name is named after what it runs', async () => {
  const at = new Fixture();
  const view = await at.control.createService(
    CreateServiceRequest.create({ spec: { task: { process: { command: ['/bin/sleep', '9'] } } } }),
    context(),
  );
  assert.match(view.service!.spec!.name, /^sleep-[0-9a-z]{6}$/);
});

test('the same request id creates one service', async () => {
  const at = new Fixture();
  const call = () => at.control.createService(create(), context({ requestId: 'r1' }));
  const [a, b] = [await call(), await call()];
  assert.equal(a.service!.id, b.service!.id);
  assert.equal(at.store.view.table('service').size, 1);
});

test('a taken name is refused, also while its owner is being removed', async () => {
  const at = new Fixture();
  await at.create({});
  await assert.rejects(at.create({}), { code: 'NAME_CONFLICT', message: /already/ });
  await at.control.removeService(Ref.create({ ref: 'web' }), context());
  await assert.rejects(at.create({}), { code: 'NAME_CONFLICT', message: /still being removed/ });
});

test('a published port that another service asked for is refused with the owner', async () => {
  const at = new Fixture();
  await at.create(port(8080));
  await assert.rejects(at.create({ name: 'b', ...port(8080) }), {
    code: 'PORT_TAKEN',
    message: 'port 8080/tcp is published by the service web',
  });
});

test('a published port that another service was given is refused with the owner', async () => {
  const at = new Fixture();
  const id = await at.create({ endpoint: { ports: [{ target: 80 }] } });
  await at.state({ id, ports: [{ target: 80, published: 30_000 }] });
  await assert.rejects(at.create({ name: 'b', ...port(30_000) }), { code: 'PORT_TAKEN' });
});

test('a service keeps its own port when it is updated', async () => {
  const at = new Fixture();
  const id = await at.create(port(8080));
  await at.state({ id, ports: [{ target: 80, published: 8080 }] });
  const { spec } = at.store.view.table('service').get(id)!;
  const changed = ServiceSpec.with(spec!, { replicas: 4 });
  const { service } = await at.control.updateService(update(id, 0, changed), context());
  assert.equal(service!.revision, 2);
});

test('two services may have the same port in host mode, but not one of them in ingress mode', async () => {
  const at = new Fixture();
  await at.create(port(8080, PublishMode.HOST));
  await at.create({ name: 'b', ...port(8080, PublishMode.HOST) });
  await assert.rejects(at.create({ name: 'c', ...port(8080) }), { code: 'PORT_TAKEN' });
});

test('an update makes a revision, an unchanged spec none', async () => {
  const at = new Fixture();
  const created = await at.control.createService(create(), context());
  const { version, spec } = created.service!;
  const same = await at.control.updateService(update('web', version, spec!), context());
  assert.deepEqual([same.service!.revision, same.service!.version], [1, version]);
  const changed = ServiceSpec.with(spec!, { labels: { a: 'b' } });
  const next = await at.control.updateService(update('web', version, changed), context());
  assert.equal(next.service!.revision, 2);
});

test('an update with an old version is refused and changes nothing', async () => {
  const at = new Fixture();
  const { service } = await at.control.createService(create(), context());
  await at.control.scaleService(ScaleServiceRequest.create({ ref: 'web', replicas: 2 }), context());
  const stale = update('web', service!.version, ServiceSpec.with(service!.spec!, { replicas: 9 }));
  await assert.rejects(at.control.updateService(stale, context()), { code: 'VERSION_CONFLICT' });
  assert.equal(at.store.view.table('service').get(service!.id)!.spec!.replicas, 2);
});

test('a rename and a change of mode are refused', async () => {
  const at = new Fixture();
  await at.create({});
  const renamed = update('web', 0, aSpec({ name: 'other' }));
  await assert.rejects(at.control.updateService(renamed, context()), {
    message: /^name: web cannot/,
  });
  const global = update('web', 0, aSpec({ mode: ServiceMode.GLOBAL, replicas: 0 }));
  await assert.rejects(at.control.updateService(global, context()), {
    message: /^mode: it cannot/,
  });
});

test('an update with a wrong signal is refused, not put right', async () => {
  const at = new Fixture();
  await at.create({});
  const wrong = aSpec({ task: { process: { command: ['a'], stopSignal: 'NOPE' } } });
  await assert.rejects(at.control.updateService(update('web', 0, wrong), context()), {
    code: 'INVALID_SPEC',
  });
});

test('rolling back twice goes forward again', async () => {
  const at = new Fixture();
  const id = await at.create({ replicas: 1 });
  await at.control.scaleService(ScaleServiceRequest.create({ ref: id, replicas: 5 }), context());
  const back = RollbackServiceRequest.create({ ref: 'web' });
  const first = await at.control.rollbackService(back, context());
  assert.deepEqual([first.service!.revision, first.service!.spec!.replicas], [3, 1]);
  const second = await at.control.rollbackService(back, context());
  assert.deepEqual([second.service!.revision, second.service!.spec!.replicas], [4, 5]);
  const { revisions } = await at.control.getService(Ref.create({ ref: id }), context());
  assert.deepEqual(
    revisions.map((row) => row.note),
    ['rollback to 2', 'rollback to 1', 'scale to 5', ''],
  );
});

test('a rollback to a revision that is not kept lists those that are', async () => {
  const at = new Fixture();
  await at.create({});
  const back = RollbackServiceRequest.create({ ref: 'web', toRevision: 7 });
  await assert.rejects(at.control.rollbackService(back, context()), {
    code: 'NOT_FOUND',
    message: 'web has never been changed: nothing to go back to',
  });
  for (const replicas of [2, 3])
    await at.control.scaleService(ScaleServiceRequest.create({ ref: 'web', replicas }), context());
  await assert.rejects(at.control.rollbackService(back, context()), {
    code: 'NOT_FOUND',
    message: 'web has no revision 7: there are 2, 1',
  });
});

test('20 revisions are kept, and those that tasks were made from', async () => {
  const at = new Fixture();
  const id = await at.create({});
  await at.running(id, 'oldtask', 1);
  for (let replicas = 2; replicas < 30; replicas++)
    await at.control.scaleService(ScaleServiceRequest.create({ ref: id, replicas }), context());
  const { revisions } = await at.control.getService(Ref.create({ ref: id }), context());
  const numbers = revisions.map((row) => row.revision);
  assert.equal(numbers.length, 21);
  assert.deepEqual([numbers[0], numbers[19], numbers[20]], [29, 10, 1]);
});

test('removing marks the service, once; it can then no longer be changed', async () => {
  const at = new Fixture();
  const id = await at.create({});
  await at.control.removeService(Ref.create({ ref: 'web' }), context());
  await at.control.removeService(Ref.create({ ref: id }), context());
  assert.equal(at.store.view.table('service').get(id)!.removing, true);
  const scale = ScaleServiceRequest.create({ ref: id, replicas: 2 });
  await assert.rejects(at.control.scaleService(scale, context()), { code: 'PRECONDITION' });
});

test('a global service cannot be scaled', async () => {
  const at = new Fixture();
  await at.create({ mode: ServiceMode.GLOBAL, replicas: 0 });
  const scale = ScaleServiceRequest.create({ ref: 'web', replicas: 2 });
  await assert.rejects(at.control.scaleService(scale, context()), { message: /web is global/ });
});

test('names are found by id, name and prefix; a near miss is suggested', async () => {
  const at = new Fixture();
  const id = await at.create({ name: 'frontend' });
  for (const ref of [id, 'frontend', id.slice(0, 6)]) {
    const { service } = await at.control.getService(Ref.create({ ref }), context());
    assert.equal(service!.service!.id, id);
  }
  await assert.rejects(at.control.getService(Ref.create({ ref: 'fronted' }), context()), {
    code: 'NOT_FOUND',
    message: 'no service "fronted"; did you mean frontend?',
  });
});

test('a prefix of several ids lists the candidates', async () => {
  const at = new Fixture();
  await at.node('aa1');
  await at.node('aa2');
  await assert.rejects(at.control.getNode(Ref.create({ ref: 'aa' }), context()), {
    code: 'AMBIGUOUS',
    message: '"aa" names 2 nodes: aa1 (aa1), aa2 (aa2)',
  });
});

test('filters of one key are alternatives, keys add up, an unknown one is refused', async () => {
  const at = new Fixture();
  await at.create({ name: 'a', labels: { tier: 'x' } });
  await at.create({ name: 'b', labels: { tier: 'y' } });
  await at.create({ name: 'c' });
  const names = async (...filters: [string, string][]) => {
    const request = ListRequest.create({
      filters: filters.map(([key, value]) => ({ key, value })),
    });
    const { services } = await at.control.listServices(request, context());
    return services.map((row) => row.service!.spec!.name).join('');
  };
  assert.equal(await names(), 'abc');
  assert.equal(await names(['name', 'a'], ['name', 'c']), 'ac');
  assert.equal(await names(['label', 'tier'], ['name', 'b']), 'b');
  assert.equal(await names(['label', 'tier=x']), 'a');
  await assert.rejects(names(['colour', 'red']), { code: 'INVALID_ARGUMENT' });
});

test('an answer warns of what can never run', async () => {
  const at = new Fixture();
  await at.node('n1', { labels: { zone: 'east' } });
  const spec = aSpec({
    task: {
      container: { image: 'nginx' },
      placement: { constraints: ['node.labels.zone==eats', 'node.hostnam==n1'] },
    },
  });
  const { warnings } = await at.control.createService(create(spec), context());
  assert.deepEqual(warnings, [
    'constraint "node.labels.zone==eats": no node has node.labels.zone=eats (there is east); did you mean east?',
    'constraint "node.hostnam==n1": the key node.hostnam is unknown and never matches; did you mean node.hostname?',
    'no node has a runtime for images',
  ]);
});

test('without a quorum a write names the managers that are missing', async () => {
  const at = new Fixture();
  at.raft = RaftStatus.create({
    raftId: 1,
    members: [
      { raftId: 1, nodeName: 'm1', role: 'voter', active: true },
      { raftId: 2, nodeName: 'm2', address: 'h2:2377', role: 'voter' },
      { raftId: 3, nodeName: 'm3', address: 'h3:2377', role: 'voter' },
    ],
  });
  at.leader = undefined;
  at.store.lost();
  await assert.rejects(at.create({}), {
    code: 'NO_QUORUM',
    message: 'no manager leads: 2 of 3 managers must answer; missing: m2 (h2:2377), m3 (h3:2377)',
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ContainerSpec,
  CreateServiceRequest,
  Image,
  type Init,
  RegistryLogin,
  ScaleServiceRequest,
  type Service,
  ServiceSpec,
  UpdateServiceRequest,
} from '../../proto/index.ts';
import { ImageError } from '../../shared/distribution/image-error.ts';
import { A_DIGEST, aSpec, context, Fixture } from './control.fixture.ts';

const OTHER = `sha256:${'b'.repeat(64)}`;
const unreachable = new ImageError('PULL_FAILED', "can't reach r.example", true);
const unknown = new ImageError('IMAGE_NOT_FOUND', 'app is not in the registry');
const denied = new ImageError('IMAGE_AUTH', 'the registry does not give app');

function request(image: string, more: Init<CreateServiceRequest> = {}): CreateServiceRequest {
  return CreateServiceRequest.create({ spec: aSpec({ task: { container: { image } } }), ...more });
}
async function created(at: Fixture, image: string, more: Init<CreateServiceRequest> = {}) {
  const view = await at.control.createService(request(image, more), context());
  return { container: containerOf(view.service!), warnings: view.warnings, service: view.service! };
}
function containerOf(service: Service): ContainerSpec {
  return service.spec!.task!.container!;
}
async function updated(at: Fixture, service: Service, change: (spec: ServiceSpec) => ServiceSpec) {
  const base = UpdateServiceRequest.create({ ref: service.id });
  const spec = change(service.spec!);
  const view = await at.control.updateService(UpdateServiceRequest.with(base, { spec }), context());
  return view.service!;
}
function withImage(spec: ServiceSpec, image: string): ServiceSpec {
  return ServiceSpec.create({
    ...(ServiceSpec.toJson(spec) as object),
    task: { container: { image } },
  });
}

test('a tag becomes the digest that it stands for, and what was typed is kept', async () => {
  const at = new Fixture();
  const { container } = await created(at, 'team/app');
  assert.equal(container.image, `team/app:latest@${A_DIGEST}`);
  assert.equal(container.imageAsked, 'team/app');
  const tagged = await created(at, 'r.example:5000/app:1', {
    spec: aSpec({ name: 'b', task: { container: { image: 'r.example:5000/app:1' } } }),
  });
  assert.equal(tagged.container.image, `r.example:5000/app:1@${A_DIGEST}`);
});

test('what an image is built for is found out with its digest', async () => {
  const at = new Fixture();
  at.platforms = ['linux/arm64'];
  const { container, service } = await created(at, 'team/app:1');
  assert.deepEqual(container.imagePlatforms, ['linux/arm64']);
  const other = await updated(at, service, (spec) => withImage(spec, `app@${OTHER}`));
  assert.deepEqual(containerOf(other).imagePlatforms, []);
});

test('a digest is taken as it is, and so is a tag that shall not be resolved', async () => {
  const at = new Fixture();
  const digest = await created(at, `app@${OTHER}`);
  assert.equal(digest.container.image, `app@${OTHER}`);
  const spec = aSpec({ name: 'b', task: { container: { image: 'app:1' } } });
  const tag = await created(at, 'app:1', { spec, noResolveImage: true });
  assert.equal(tag.container.image, 'app:1');
  assert.equal(at.lookups.length, 0);
});

test('an image that the managers keep is asked of no registry', async () => {
  const at = new Fixture();
  const row = { id: 'docker.io/library/app:1', digest: OTHER, origin: 'local' };
  await at.store.put('image', 'users', Image.create(row));
  const { container } = await created(at, 'app:1');
  assert.equal(container.image, `app:1@${OTHER}`);
  assert.equal(container.imageLocal, true);
  assert.equal(at.lookups.length, 0);
});

test('a registry that can not be reached leaves the tag, with a warning', async () => {
  const at = new Fixture();
  at.registry.set('r.example/app:1', unreachable);
  const { container, warnings } = await created(at, 'r.example/app:1', {
    refuseUnknownImage: true,
  });
  assert.equal(container.image, 'r.example/app:1');
  assert.match(
    warnings[0]!,
    /r.example\/app:1 could not be pinned.*can't reach r.example.*each|nodes may/i,
  );
});

test('an image that its registry does not have is warned of, or refused where that is asked', async () => {
  const at = new Fixture();
  at.registry.set('docker.io/library/app:latest', unknown);
  const refused = { code: 'NOT_FOUND', details: { image: 'app' } };
  await assert.rejects(created(at, 'app', { refuseUnknownImage: true }), refused);
  assert.equal(at.store.view.table('service').size, 0);
  const { warnings } = await created(at, 'app');
  assert.match(warnings[0]!, /not in the registry/);
});

test('a refusal without any login may mean that it is not there; with one it does not', async () => {
  const at = new Fixture();
  at.registry.set('docker.io/library/app:latest', denied);
  await assert.rejects(created(at, 'app', { refuseUnknownImage: true }), { code: 'NOT_FOUND' });
  const registryAuth = { host: 'docker.io', username: 'u', password: 'p' };
  const { warnings } = await created(at, 'app', { refuseUnknownImage: true, registryAuth });
  assert.match(warnings[0]!, /does not give app/);
});

test('an update looks up the image only when it is another one', async () => {
  const at = new Fixture();
  const { service } = await created(at, 'app:1');
  at.registry.set('docker.io/library/app:1', OTHER);
  const labelled = await updated(at, service, (spec) =>
    ServiceSpec.with(spec, { labels: { a: 'b' } }),
  );
  assert.equal(containerOf(labelled).image, `app:1@${A_DIGEST}`);
  await at.control.scaleService(
    ScaleServiceRequest.create({ ref: service.id, replicas: 2 }),
    context(),
  );
  assert.equal(at.lookups.length, 1);
  const again = await updated(at, labelled, (spec) => withImage(spec, 'app:1'));
  assert.equal(containerOf(again).image, `app:1@${OTHER}`);
});

test('the login that came with a service is used for it, else that of the cluster, and none elsewhere', async () => {
  const at = new Fixture();
  const row = { id: 'r.example', host: 'r.example', username: 'all', password: 'x' };
  await at.store.put('registryLogin', 'users', RegistryLogin.create(row));
  const registryAuth = { host: 'r.example', username: 'own', password: 'y' };
  const { service } = await created(at, 'r.example/app:1', { registryAuth });
  await updated(at, service, (spec) => withImage(spec, 'r.example/app:2'));
  await updated(at, service, (spec) => withImage(spec, 'other.example/app:2'));
  const spec = aSpec({ name: 'b', task: { container: { image: 'r.example/app:3' } } });
  await created(at, '', { spec });
  assert.deepEqual(
    at.lookups.map(({ auth }) => auth?.username),
    ['own', 'own', undefined, 'all'],
  );
});

test('no password is in a service, an event or an answer', async () => {
  const at = new Fixture();
  const registryAuth = { host: 'docker.io', username: 'u', password: 'very-secret' };
  await at.control.createService(request('app', { registryAuth }), context({ requestId: 'r' }));
  for (const table of ['service', 'serviceRevision', 'event', 'answer'] as const) {
    const rows = [...at.store.view.table(table).all()];
    assert.ok(!JSON.stringify(rows).includes('very-secret'), table);
  }
  assert.equal([...at.store.view.table('serviceLogin').all()][0]!.password, 'very-secret');
});

import {
  type CreateServiceRequest,
  GetServiceResponse,
  type ListRequest,
  ListServicesResponse,
  type Ref,
  type RegistryAuth,
  RegistryLogin,
  RemoveServiceResponse,
  type RollbackServiceRequest,
  type ScaleServiceRequest,
  Service,
  ServiceMode,
  ServiceRevision,
  ServiceSpec,
  ServiceView,
  type UpdateServiceRequest,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import { revisionKey } from '../store/schema.ts';
import type { Draft } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import { invalid } from './field.ts';
import { compileFilters, enumFilter, hasLabel } from './filters.ts';
import { type FreshReads, findIn } from './freshness.ts';
import { refuseHostAccess } from './host-access.ts';
import { type Pinned, type PinOptions, pinImage } from './pin-image.ts';
import { refuseTakenPorts } from './published-ports.ts';
import { randomName } from './random-name.ts';
import { resolveService } from './resolve.ts';
import { withDefaults } from './service-defaults.ts';
import { withNetworks } from './service-networks.ts';
import { putRevision, revisionsOf, rollbackTarget } from './service-revisions.ts';
import { sameSpec, serviceName } from './specs.ts';
import { validateService } from './validate-service.ts';
import { fullView, serviceView } from './views.ts';
import { write } from './writes.ts';

/** Services: create, update, scale, roll back, remove, list, look at. */
export class Services {
  readonly #deps: ControlDeps;
  readonly #reads: FreshReads;

  constructor(deps: ControlDeps, reads: FreshReads) {
    this.#deps = deps;
    this.#reads = reads;
  }

  async create(request: CreateServiceRequest, context: CallContext): Promise<ServiceView> {
    const asked = request.spec ?? ServiceSpec.create();
    if (asked.name !== '') validateService(asked);
    else validateService(ServiceSpec.with(asked, { name: 'unnamed' }));
    const pinned = await pinImage(this.#deps, asked, { ...pinOptions(request), serviceId: '' });
    const { id } = await write(this.#deps, context, (draft) => {
      const id = draft.newId();
      const name = asked.name || randomName(asked, id);
      const spec = withNetworks(draft, withDefaults(ServiceSpec.with(pinned.spec, { name })));
      refuseTakenName(draft, name);
      refuseHostAccess(draft, spec);
      refuseTakenPorts(draft, spec, id);
      putNew(draft, id, spec);
      putLogin(draft, id, request.registryAuth);
      emit(draft, 'create', id, name, '');
      return { id };
    });
    return this.#answer(id, pinned.warnings);
  }

  async update(request: UpdateServiceRequest, context: CallContext): Promise<ServiceView> {
    const { spec } = request;
    if (spec === null) throw invalid('spec', 'there is none', 'the whole spec');
    const now = resolveService(this.#deps.store.view, request.ref);
    const named = keepName(now, spec);
    validateService(named);
    const pinned = await this.#repin(now, named, request);
    const { id } = await write(this.#deps, context, (draft) => {
      const service = changeable(draft, request.ref);
      refuseStale(service, request.version);
      const wished = withNetworks(draft, withDefaults(keepName(service, pinned.spec)));
      refuseOtherKind(service, wished);
      change(draft, service, wished, '');
      putLogin(draft, service.id, request.registryAuth);
      return { id: service.id };
    });
    return this.#answer(id, pinned.warnings);
  }

  async scale(request: ScaleServiceRequest, context: CallContext): Promise<ServiceView> {
    const { id } = await write(this.#deps, context, (draft) => {
      const service = changeable(draft, request.ref);
      const spec = service.spec!;
      if (spec.mode !== ServiceMode.REPLICATED)
        throw new SwarmError(
          'INVALID_SPEC',
          `${spec.name} is global: it has one task on each node and cannot be scaled`,
          { advice: 'Constraints choose its nodes: swarm service update --constraint-add.' },
        );
      const wished = ServiceSpec.with(spec, { replicas: request.replicas });
      validateService(wished);
      change(draft, service, wished, `scale to ${request.replicas}`);
      return { id: service.id };
    });
    return this.#answer(id);
  }

  async rollback(request: RollbackServiceRequest, context: CallContext): Promise<ServiceView> {
    const { id } = await write(this.#deps, context, (draft) => {
      const service = changeable(draft, request.ref);
      const target = rollbackTarget(draft, service, request.toRevision);
      change(draft, service, withNetworks(draft, target.spec!), `rollback to ${target.revision}`);
      return { id: service.id };
    });
    return this.#answer(id);
  }

  async remove(request: Ref, context: CallContext): Promise<RemoveServiceResponse> {
    const { id } = await write(this.#deps, context, (draft) => {
      const service = resolveService(draft, request.ref);
      if (!service.removing) {
        draft.put(
          'service',
          Service.with(service, { removing: true, updatedWallMs: draft.wallMs }),
        );
        emit(draft, 'remove', service.id, serviceName(service), '');
      }
      return { id: service.id };
    });
    return RemoveServiceResponse.create({ id });
  }

  async list(request: ListRequest, context: CallContext): Promise<ListServicesResponse> {
    const passes = compileFilters(request.filters, FILTERS);
    const freshness = await this.#reads.before(context.consistency);
    const { view } = this.#deps.store;
    const services = [...view.table('service').all()].filter(passes).sort(byName);
    const views = services.map((service) => serviceView(view, service));
    return ListServicesResponse.with(ListServicesResponse.create(), { services: views, freshness });
  }

  async get(request: Ref, context: CallContext): Promise<GetServiceResponse> {
    const freshness = await this.#reads.before(context.consistency);
    const { view } = this.#deps.store;
    const service = findIn(freshness, () => resolveService(view, request.ref));
    return GetServiceResponse.with(GetServiceResponse.create(), {
      service: fullView(view, service),
      revisions: revisionsOf(view, service.id),
      freshness,
    });
  }

  /** An image that is not changed is not looked up again: an update of something else keeps it. */
  async #repin(
    service: Service,
    spec: ServiceSpec,
    request: UpdateServiceRequest,
  ): Promise<Pinned> {
    const image = spec.task?.container?.image;
    if (image === service.spec?.task?.container?.image) return { spec, warnings: [] };
    return pinImage(this.#deps, spec, { ...pinOptions(request), serviceId: service.id });
  }

  #answer(id: string, warnings: readonly string[] = []): ServiceView {
    const { view } = this.#deps.store;
    const service = view.table('service').get(id);
    if (service !== undefined) {
      const full = fullView(view, service);
      return ServiceView.with(full, { warnings: [...warnings, ...full.warnings] });
    }
    throw new SwarmError('NOT_FOUND', `the service ${id} was removed meanwhile`);
  }
}

/** The protobuf message itself is not to be spread. */
function pinOptions(
  request: CreateServiceRequest | UpdateServiceRequest,
): Omit<PinOptions, 'serviceId'> {
  const { noResolveImage, registryAuth, refuseUnknownImage } = request;
  return { noResolveImage, registryAuth, refuseUnknownImage };
}

const FILTERS = {
  id: (row: Service, value: string) => row.id.startsWith(value),
  name: (row: Service, value: string) => serviceName(row).startsWith(value),
  label: (row: Service, value: string) => hasLabel(row.spec?.labels ?? {}, value),
  mode: (row: Service, value: string) =>
    (row.spec?.mode ?? ServiceMode.REPLICATED) === enumFilter(value, ServiceMode, 'mode'),
  network: (row: Service, value: string) =>
    (row.spec?.task?.networks ?? []).some(({ target }) => target === value),
  runtime: (row: Service, value: string) => (row.spec?.task?.runtime ?? '') === value.toLowerCase(),
};

function byName(a: Service, b: Service): number {
  return serviceName(a) < serviceName(b) ? -1 : 1;
}

function putNew(draft: Draft, id: string, spec: ServiceSpec): void {
  const wallMs = draft.wallMs;
  const times = { createdWallMs: wallMs, updatedWallMs: wallMs };
  draft.put('service', Service.with(Service.create({ id, revision: 1, ...times }), { spec }));
  const row = { id: revisionKey(id, 1), serviceId: id, revision: 1, createdWallMs: wallMs };
  draft.put('serviceRevision', ServiceRevision.with(ServiceRevision.create(row), { spec }));
}

/** A login that came with the service; without one that of before stays. */
function putLogin(draft: Draft, id: string, auth: RegistryAuth | null): void {
  if (auth === null) return;
  const { host, username, password } = auth;
  const updatedWallMs = draft.wallMs;
  draft.put('serviceLogin', RegistryLogin.create({ id, host, username, password, updatedWallMs }));
}

/** An unchanged spec makes no revision and restarts nothing. */
function change(draft: Draft, service: Service, wished: ServiceSpec, note: string): void {
  if (sameSpec(service.spec!, wished)) return;
  refuseHostAccess(draft, wished);
  refuseTakenPorts(draft, wished, service.id);
  const updated = putRevision(draft, service, wished, note);
  const message =
    note === '' ? `revision ${updated.revision}` : `revision ${updated.revision}: ${note}`;
  emit(draft, 'update', service.id, wished.name, message);
}

function changeable(draft: Draft, ref: string): Service {
  const service = resolveService(draft, ref);
  if (!service.removing && service.spec !== null) return service;
  throw new SwarmError('PRECONDITION', `${serviceName(service)} is being removed`, {
    advice: 'Wait until it is gone, then create it anew.',
    command: `swarm service ps ${serviceName(service)}`,
  });
}

function refuseStale(service: Service, version: number): void {
  if (version === 0 || version === service.version) return;
  const name = serviceName(service);
  throw new SwarmError('VERSION_CONFLICT', `${name} was changed since you read it`, {
    command: `swarm service inspect ${name}`,
  });
}

function refuseTakenName(draft: Draft, name: string): void {
  const [other] = draft.table('service').by('name', name);
  if (other === undefined) return;
  const leaving = other.removing;
  throw new SwarmError(
    'NAME_CONFLICT',
    leaving ? `the service ${name} is still being removed` : `there is a service ${name} already`,
    {
      command: leaving ? `swarm service ps ${name}` : `swarm service update ${name}`,
      ...(leaving
        ? { advice: 'Try again when its tasks have ended, or choose another name.' }
        : {}),
      details: { id: other.id },
    },
  );
}

function keepName(service: Service, spec: ServiceSpec): ServiceSpec {
  return spec.name === '' ? ServiceSpec.with(spec, { name: serviceName(service) }) : spec;
}

function refuseOtherKind(service: Service, wished: ServiceSpec): void {
  const before = service.spec!;
  if (before.name !== wished.name)
    throw invalid(
      'name',
      `${before.name} cannot be renamed`,
      'the name it has; or create another service',
    );
  if (before.mode !== wished.mode)
    throw invalid('mode', 'it cannot be changed', 'the mode it has; or create another service');
}

function emit(draft: Draft, action: string, id: string, name: string, message: string): void {
  draft.emit({ kind: 'service', action, id, name, message });
}

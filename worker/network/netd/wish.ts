import {
  type Backend,
  type ListenFailure,
  ListenFailure as ListenFailures,
  type LoadBalanced,
  type NetdRows,
  type NetdTaskPort,
  type PortConfig,
  Protocol,
  PublishMode,
} from '../../../proto/index.ts';

/** A task that may be dialled for one published port. */
export interface BackendWish {
  readonly taskId: string;
  readonly host: string;
  readonly port: number;
  /** Gets no new connection; those it has go on. */
  readonly draining: boolean;
}

/** One socket to listen on, and who is behind it. */
export interface ListenerWish {
  /** `tcp/ADDRESS:PORT`: equal keys are the same socket. */
  readonly key: string;
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
  readonly serviceName: string;
  readonly proxyProtocolV2: boolean;
  readonly backends: readonly BackendWish[];
}

export interface Wish {
  readonly listeners: ReadonlyMap<string, ListenerWish>;
  /** Ports that two services want on this node: the one with the lower service id has it. */
  readonly conflicts: readonly ListenFailure[];
}

/** What this node shall listen on: a pure function of the rows. */
export function wishOf(rows: NetdRows, publishAddress: string): Wish {
  const listeners = new Map<string, ListenerWish>();
  const conflicts: ListenFailure[] = [];
  const services = [...rows.services].sort((a, b) => (a.serviceId < b.serviceId ? -1 : 1));
  for (const service of services) {
    for (const port of service.ports) {
      const wish = listenerOf(rows, service, port, publishAddress);
      if (wish === undefined) continue;
      const holder = listeners.get(wish.key);
      if (holder === undefined) listeners.set(wish.key, wish);
      else if (holder.serviceName !== wish.serviceName)
        conflicts.push(
          ListenFailures.create({
            protocol: port.protocol,
            port: port.published,
            reason: `${place(wish)} is published by the service ${holder.serviceName} as well, which has it`,
          }),
        );
    }
  }
  for (const port of rows.taskPorts) {
    const wish = taskPortWish(port);
    listeners.set(wish.key, wish);
  }
  return { listeners, conflicts };
}

/** `ADDRESS:PORT/tcp`, for people. */
export function place(wish: {
  readonly address: string;
  readonly port: number;
  readonly protocol: Protocol;
}): string {
  const address = wish.address.includes(':') ? `[${wish.address}]` : wish.address;
  return `${address}:${wish.port}/${wish.protocol === Protocol.UDP ? 'udp' : 'tcp'}`;
}

/** Whether any node would listen for these rows, so that netd is needed. */
export function publishesAnything(rows: {
  readonly services: readonly LoadBalanced[];
  readonly taskPorts: readonly unknown[];
}): boolean {
  if (rows.taskPorts.length > 0) return true;
  return rows.services.some((service) => service.ports.some((port) => port.published !== 0));
}

/** Its own range is given out on this machine, so no service has the same port. */
function taskPortWish(port: NetdTaskPort): ListenerWish {
  const { taskId, protocol, dialHost, dialPort } = port;
  const name = protocol === Protocol.UDP ? 'udp' : 'tcp';
  return {
    key: `${name}/${port.host}:${port.port}`,
    protocol,
    address: port.host,
    port: port.port,
    serviceName: `task ${taskId}`,
    proxyProtocolV2: false,
    // It goes on while its service is draining: who comes here was sent by another node's proxy.
    backends: [{ taskId, host: dialHost, port: dialPort, draining: false }],
  };
}

function listenerOf(
  rows: NetdRows,
  service: LoadBalanced,
  port: PortConfig,
  publishAddress: string,
): ListenerWish | undefined {
  if (port.published === 0) return undefined;
  const hostMode = port.mode === PublishMode.HOST;
  const eligible = hostMode
    ? service.backends.filter((backend) => backend.nodeId === rows.nodeId)
    : service.backends;
  if (hostMode && eligible.length === 0) return undefined;
  const address = port.bind || publishAddress || '0.0.0.0';
  const protocol = port.protocol === Protocol.UDP ? 'udp' : 'tcp';
  return {
    key: `${protocol}/${address}:${port.published}`,
    protocol: port.protocol,
    address,
    port: port.published,
    serviceName: service.serviceName,
    proxyProtocolV2: port.proxyProtocolV2,
    backends: eligible.flatMap((backend) => backendOf(rows, backend, port)),
  };
}

function backendOf(rows: NetdRows, backend: Backend, port: PortConfig): BackendWish[] {
  const binding = backend.ports.find(
    (each) => each.protocol === port.protocol && each.target === port.target && each.port !== 0,
  );
  if (binding === undefined) return [];
  const near = rows.taskPorts.find(
    ({ taskId, protocol, port: own }) =>
      taskId === backend.taskId && protocol === binding.protocol && own === binding.port,
  );
  if (near) {
    const { dialHost, dialPort } = near;
    return [{ taskId: backend.taskId, host: dialHost, port: dialPort, draining: backend.draining }];
  }
  const host = isWildcard(binding.host) ? rows.nodeHosts[backend.nodeId] : binding.host;
  if (host === undefined || host === '') return [];
  return [{ taskId: backend.taskId, host, port: binding.port, draining: backend.draining }];
}

function isWildcard(host: string): boolean {
  return host === '' || host === '0.0.0.0' || host === '::';
}

import {
  EndpointMode,
  type EndpointSpec,
  type PortConfig,
  Protocol,
  PublishMode,
} from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import { PORT_BIND_TEXT, parsePortBind } from '../../shared/port-bind.ts';
import { check, checkEnum } from './field.ts';

export function validateEndpoint(endpoint: EndpointSpec): void {
  const { ports } = endpoint;
  checkEnum(endpoint.mode, EndpointMode, 'endpoint.mode');
  check(
    ports.length <= LIMITS.portsPerServiceMax,
    'endpoint.ports',
    `${ports.length} ports`,
    `at most ${LIMITS.portsPerServiceMax}`,
  );
  const taken = new Set<string>();
  for (const port of ports) {
    validatePort(port);
    check(
      endpoint.mode !== EndpointMode.DNSRR || port.mode === PublishMode.HOST,
      'endpoint.mode',
      `dnsrr with the ingress port ${portText(port)}`,
      'mode=host for published ports, or --endpoint-mode vip',
    );
    if (port.published === 0) continue;
    const key = portKey(port);
    check(
      !taken.has(key),
      'endpoint.ports',
      `port ${portText(port)} is published twice`,
      'each published port once for each protocol',
    );
    taken.add(key);
  }
}

function validatePort(port: PortConfig): void {
  checkEnum(port.protocol, Protocol, 'endpoint.ports.protocol');
  checkEnum(port.mode, PublishMode, 'endpoint.ports.mode');
  check(
    port.target >= 1 && port.target <= 65_535,
    'endpoint.ports.target',
    `${port.target} is no port`,
    '1 to 65535',
  );
  check(
    port.published <= 65_535,
    'endpoint.ports.published',
    `${port.published} is no port`,
    `1 to 65535, or none: one of ${LIMITS.dynamicPortMin}-${LIMITS.dynamicPortMax} is given`,
  );
  check(
    parsePortBind(port.bind) !== undefined,
    'endpoint.ports.bind',
    `"${port.bind}" is nothing that a port can be bound to`,
    `${PORT_BIND_TEXT}, or none`,
  );
  check(
    !port.proxyProtocolV2 || port.protocol === Protocol.TCP,
    'endpoint.ports.proxy_protocol',
    `port ${portText(port)} is UDP`,
    'proxy-protocol=v2 for TCP ports only',
  );
}

/** Key of the index `port` of the table serviceState. */
export function portKey(port: PortConfig): string {
  return `${port.protocol}/${port.published}`;
}

/** 8080/tcp, for people. */
export function portText(port: {
  readonly protocol: Protocol;
  readonly published: number;
}): string {
  return `${port.published}/${protocolText(port.protocol)}`;
}

function protocolText(protocol: Protocol): string {
  return protocol === Protocol.UDP ? 'udp' : 'tcp';
}

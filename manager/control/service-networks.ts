import {
  EndpointMode,
  NetworkAttachmentSpec,
  ServiceSpec,
  type TaskSpec,
  TaskSpec as TaskSpecCodec,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import { INGRESS, NODE_LOCAL } from '../loop/addressing/predefined.ts';
import type { View } from '../store/view.ts';
import { check } from './field.ts';
import { resolveNetwork } from './resolve.ts';
import { networkName } from './specs.ts';

/** Labels of a DNS name, in which Docker allows underscores. */
const ALIAS = /^[a-zA-Z0-9_](?:[a-zA-Z0-9_.-]{0,251}[a-zA-Z0-9_])?$/;

/** What the spec alone tells of its networks. Throws INVALID_SPEC. */
export function validateNetworks(spec: ServiceSpec, task: TaskSpec): void {
  const { networks } = task;
  check(
    networks.length <= LIMITS.networksPerServiceMax,
    'networks',
    `${networks.length} networks`,
    `at most ${LIMITS.networksPerServiceMax}`,
  );
  if (task.process !== null && networks.length > 0)
    throw new SwarmError(
      'INVALID_SPEC',
      "networks: a command of the host (--process) has the host's own network and no other",
      {
        advice: 'Leave --network out and publish its ports (-p), or run an image.',
        details: { field: 'networks' },
      },
    );
  for (const { target, aliases } of networks) {
    check(target !== '', 'networks', 'a network without a name', 'names of networks');
    validateAliases(target, aliases);
    if (NODE_LOCAL.has(target)) validateNodeLocal(spec, task, target);
  }
  const endpoint = spec.endpoint;
  check(
    !endpoint?.clientAffinity || endpoint.mode !== EndpointMode.DNSRR,
    'endpoint.client_affinity',
    'it is given with dnsrr, where clients choose by themselves',
    '--affinity client with --endpoint-mode vip',
  );
}

function validateAliases(target: string, aliases: readonly string[]): void {
  check(
    aliases.length <= LIMITS.aliasesMax,
    'networks.aliases',
    `${aliases.length} aliases on ${target}`,
    `at most ${LIMITS.aliasesMax}`,
  );
  for (const alias of aliases)
    check(
      ALIAS.test(alias),
      'networks.aliases',
      `"${alias}" is no name`,
      'names such as db or db.local',
    );
}

function validateNodeLocal(spec: ServiceSpec, task: TaskSpec, target: string): void {
  check(
    task.networks.length === 1,
    'networks',
    `${target} with other networks`,
    `${target} alone, or other networks without it`,
  );
  if (target === 'bridge') return;
  check(
    (spec.endpoint?.ports.length ?? 0) === 0,
    'endpoint.ports',
    target === 'host'
      ? "a container on the host's network has its ports there by itself"
      : 'nothing reaches a container without a network',
    'no published ports (-p) with it',
  );
  const probes = [task.health?.http, task.health?.tcp, task.ready?.http, task.ready?.tcp];
  check(
    target === 'host' || !probes.some((probe) => probe),
    'networks',
    'nothing reaches a container without a network: its probe would fail',
    'a command that runs in it (--health-cmd)',
  );
}

/**
 * The spec with its networks by their names, as it is kept. Throws NOT_FOUND, or PRECONDITION while one
 * is being removed.
 */
export function withNetworks(view: View, spec: ServiceSpec): ServiceSpec {
  const { task } = spec;
  if (task === null || task.networks.length === 0) return spec;
  const networks = task.networks.map((network) =>
    NetworkAttachmentSpec.with(network, { target: networkTarget(view, network.target) }),
  );
  const names = networks.map(({ target }) => target);
  const twice = names.find((name, at) => names.indexOf(name) < at);
  check(twice === undefined, 'networks', `${twice} is given twice`, 'each network once');
  return ServiceSpec.with(spec, { task: TaskSpecCodec.with(task, { networks }) });
}

function networkTarget(view: View, ref: string): string {
  if (NODE_LOCAL.has(ref)) return ref;
  check(ref !== INGRESS, 'networks', 'ingress carries published ports only', 'other networks');
  const network = resolveNetwork(view, ref);
  const name = networkName(network);
  if (network.removing)
    throw new SwarmError('PRECONDITION', `the network ${name} is being removed`, {
      advice: 'Wait until it is gone, then make it anew.',
      command: 'swarm network ls',
    });
  return name;
}

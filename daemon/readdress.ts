import { networkInterfaces } from 'node:os';
import { type ReaddressRequest, ReaddressResponse, Role } from '../proto/index.ts';
import { addressesOf, advertise, formatHostPort, parseHostPort } from './address.ts';
import type { NodeConfig } from './node-config.ts';
import type { NodeSteps } from './node-steps.ts';
import { checkPortFree } from './port-check.ts';

interface NewAddresses {
  readonly advertiseAddress: string;
  readonly listenAddress: string;
  readonly publishAddress: string;
}

/**
 * `swarm start --advertise-addr`: the node stays who it is and its tasks go on; its manager part, if
 * it has one, comes back at the new address and tells the others.
 */
export async function readdressNode(
  request: ReaddressRequest,
  steps: NodeSteps,
): Promise<ReaddressResponse> {
  const { identity, config } = steps.present();
  const { next: moved, warnings } = readdressed(config, request);
  const found = request.managers.map((address) => formatHostPort(parseHostPort(address)));
  const next = { ...moved, managers: [...new Set([...found, ...config.managers])] };
  if (found.length > 0 || !sameAddresses(config, next)) {
    await steps.end(true);
    try {
      if (identity.subject.role === Role.MANAGER) await checkPortFree(next.listenAddress);
      await steps.begin(identity, next, false);
    } catch (error) {
      await steps.begin(identity, config, false);
      throw error;
    }
  }
  const { listenAddress, advertiseAddress, publishAddress } = next;
  return ReaddressResponse.create({ listenAddress, advertiseAddress, publishAddress, warnings });
}

/**
 * With the addresses that were given, else those it had. What was the same as the old advertised
 * host (where it listens, where it publishes) follows it.
 */
export function readdressed(
  config: NodeConfig,
  given: NewAddresses,
): { readonly next: NodeConfig; readonly warnings: readonly string[] } {
  const before = parseHostPort(config.advertiseAddress);
  const moved = given.advertiseAddress !== '';
  const listens = parseHostPort(config.listenAddress);
  const follows = moved && listens.host === before.host && given.listenAddress === '';
  const to = moved ? parseHostPort(given.advertiseAddress, before.port) : before;
  const addresses = addressesOf({
    advertiseAddress: formatHostPort(to),
    listenAddress: follows
      ? formatHostPort({ host: to.host, port: listens.port })
      : given.listenAddress || config.listenAddress,
    publishAddress:
      given.publishAddress || (config.publishAddress === before.host ? '' : config.publishAddress),
  });
  const next: NodeConfig = {
    ...config,
    listenAddress: addresses.listen,
    advertiseAddress: addresses.advertise,
    publishAddress: addresses.publish,
    detectedAddress: config.detectedAddress === true && !moved,
  };
  return { next, warnings: addresses.warnings };
}

/**
 * A node that was never told its address and does not have the one any more that it found: with the
 * one that it has now. Undefined: nothing to change.
 */
export function redetected(config: NodeConfig): NodeConfig | undefined {
  if (config.detectedAddress !== true) return undefined;
  const before = parseHostPort(config.advertiseAddress);
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  if (own.some(({ address }) => address === before.host)) return undefined;
  const now = advertise('', before.port);
  if (now.loopbackOnly) return undefined;
  const given = { listenAddress: '', publishAddress: '', advertiseAddress: formatHostPort(now) };
  return { ...readdressed(config, given).next, detectedAddress: true };
}

function sameAddresses(a: NodeConfig, b: NodeConfig): boolean {
  return (
    a.listenAddress === b.listenAddress &&
    a.advertiseAddress === b.advertiseAddress &&
    a.publishAddress === b.publishAddress
  );
}

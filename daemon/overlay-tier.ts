import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { DEFAULTS } from '../shared/limits.ts';
import type { Io } from '../worker/io.ts';
import { HOST, type Netcmd } from '../worker/network/router/netcmd.ts';
import { tryKernel } from '../worker/network/router/try-kernel.ts';
import { type TunnelKind, tryTunnel } from '../worker/network/router/try-tunnel.ts';
import { advertise, parseHostPort } from './address.ts';
import type { NodeConfig } from './node-config.ts';

/** How this node's traffic between containers travels, or why it does not. */
export type OverlayTier =
  | {
      readonly found: true;
      readonly dataAddress: string;
      readonly mtu: number;
      /** What encrypted networks go through. */
      readonly tunnel: TunnelKind;
    }
  | Obstacle;

/** What keeps a node from carrying networks. */
export interface Obstacle {
  readonly found: false;
  readonly why: string;
  /** It stays whatever happens to this machine while the daemon runs. */
  readonly stays: boolean;
}

export interface OverlayTierDeps {
  readonly io: Io;
  readonly netcmd: Netcmd;
  readonly config: NodeConfig;
  readonly nodeId: string;
  readonly stateDir: string;
}

/**
 * Finds out whether this node can carry networks, and has them from then on. VXLAN and the kernel's
 * published ports are one for each network namespace of a host: the daemon that comes first has them,
 * until it leaves.
 */
export async function findOverlayTier(deps: OverlayTierDeps): Promise<OverlayTier> {
  const obstacle = overlayObstacle(deps);
  if (obstacle !== undefined) return obstacle;
  const refused = await tryKernel(deps.netcmd, deps.nodeId.slice(0, 8));
  if (refused !== '') return passing(`the kernel or a program refused: ${refused}`);
  const owner = claim(deps);
  if (owner !== '') return passing(heldBy(owner));
  const dataAddress = dataAddressOf(deps.config);
  const mtu = await mtuOf(deps.netcmd, deviceOf(dataAddress) ?? '');
  return { found: true, dataAddress, mtu, tunnel: await findTunnel(deps) };
}

/** What encrypted networks of this node go through. */
export function findTunnel({
  netcmd,
  nodeId,
}: Pick<OverlayTierDeps, 'netcmd' | 'nodeId'>): Promise<TunnelKind> {
  return tryTunnel(netcmd, nodeId.slice(0, 8));
}

/** What is seen without trying the kernel, at next to no cost; undefined: nothing is in the way. */
export function overlayObstacle(
  deps: Pick<OverlayTierDeps, 'io' | 'config' | 'nodeId' | 'stateDir'>,
): Obstacle | undefined {
  if (process.getuid?.() !== 0) return { ...passing('the daemon is not root'), stays: true };
  const address = dataAddressOf(deps.config);
  if (isLoopback(address)) {
    const why = `${address} is reached from this machine only (--data-path-addr)`;
    return { ...passing(why), stays: isLoopback(dataHostOf(deps.config)) };
  }
  if (deviceOf(address) === undefined)
    return passing(`${address} is no address of this machine (--data-path-addr)`);
  const owner = ownerOfClaim(deps);
  return owner === '' ? undefined : passing(heldBy(owner));
}

function passing(why: string): Obstacle {
  return { found: false, why, stays: false };
}

function heldBy(stateDir: string): string {
  return `the node of ${stateDir} carries the networks of this machine`;
}

/** Another daemon of this machine may carry networks from now on. */
export function giveUpOverlay(io: Io, nodeId: string): void {
  const path = claimPath(io);
  if (readClaim(io, path)?.nodeId === nodeId) io.unlink(path);
}

/** As it was configured: an address or a name. */
function dataHostOf(config: NodeConfig): string {
  return parseHostPort(config.dataPathAddress || config.advertiseAddress).host;
}

function dataAddressOf(config: NodeConfig): string {
  const host = dataHostOf(config);
  // A name is for others to look up; what carries the traffic is where the default route goes.
  return isIP(host) === 0 ? advertise('', DEFAULTS.controlPort).host : host;
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

function deviceOf(address: string): string | undefined {
  const devices = Object.entries(networkInterfaces());
  return devices.find(([, all]) => all?.some((each) => each.address === address))?.[0];
}

async function mtuOf(netcmd: Netcmd, device: string): Promise<number> {
  const args = ['-j', 'link', 'show', 'dev', device];
  const { code, output } = await netcmd.run({ place: HOST, program: 'ip', args, input: '' });
  if (code !== 0) return 0;
  return (JSON.parse(output) as readonly { readonly mtu: number }[])[0]?.mtu ?? 0;
}

interface Claim {
  readonly nodeId: string;
  readonly stateDir: string;
}

/** Takes the machine's networks for this node. Empty: it has them; else whose they are. */
function claim(deps: OverlayTierDeps): string {
  const { io, nodeId, stateDir } = deps;
  const path = claimPath(io);
  const text = `${JSON.stringify({ nodeId, stateDir })}\n`;
  if (io.create(path, text)) return '';
  const owner = ownerOfClaim(deps);
  if (owner === '') io.write(path, text);
  return owner;
}

/** State directory of another node that has the machine's networks; empty: none has. */
function ownerOfClaim({
  io,
  nodeId,
  stateDir,
}: Pick<OverlayTierDeps, 'io' | 'nodeId' | 'stateDir'>): string {
  const owner = readClaim(io, claimPath(io));
  if (owner === undefined || owner.nodeId === nodeId || owner.stateDir === stateDir) return '';
  return io.stat(join(owner.stateDir, 'identity.pem')) === undefined ? '' : owner.stateDir;
}

/** One for each network namespace; gone with the next start of the machine, as the networks are. */
function claimPath(io: Io): string {
  const number = /\d+/.exec(io.readLink('/proc/self/ns/net')?.target ?? '')?.[0] ?? '0';
  return `/run/swarm-networks-${number}`;
}

function readClaim(io: Io, path: string): Claim | undefined {
  try {
    return JSON.parse(io.read(path)?.toString('utf8') ?? '') as Claim;
  } catch {
    return undefined;
  }
}

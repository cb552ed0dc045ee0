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
  | { readonly found: false; readonly why: string };

export interface OverlayTierDeps {
  readonly io: Io;
  readonly netcmd: Netcmd;
  readonly config: NodeConfig;
  readonly nodeId: string;
  readonly stateDir: string;
}

/**
 * Finds out whether this node can carry networks. VXLAN and the kernel's published ports are one for
 * each network namespace of a host: the daemon that comes first has them, until it leaves.
 */
export async function findOverlayTier(deps: OverlayTierDeps): Promise<OverlayTier> {
  const no = (why: string): OverlayTier => ({ found: false, why });
  if (process.getuid?.() !== 0) return no('the daemon is not root');
  const dataAddress = dataAddressOf(deps.config);
  if (isLoopback(dataAddress))
    return no(`${dataAddress} is reached from this machine only (--data-path-addr)`);
  const device = deviceOf(dataAddress);
  if (device === undefined)
    return no(`${dataAddress} is no address of this machine (--data-path-addr)`);
  const refused = await tryKernel(deps.netcmd, deps.nodeId.slice(0, 8));
  if (refused !== '') return no(`the kernel or a program refused: ${refused}`);
  const owner = claim(deps);
  if (owner !== '') return no(`the node of ${owner} carries the networks of this machine`);
  const mtu = await mtuOf(deps.netcmd, device);
  const tunnel = await tryTunnel(deps.netcmd, deps.nodeId.slice(0, 8));
  return { found: true, dataAddress, mtu, tunnel };
}

/** Another daemon of this machine may carry networks from now on. */
export function giveUpOverlay(io: Io, nodeId: string): void {
  const path = claimPath(io);
  if (readClaim(io, path)?.nodeId === nodeId) io.unlink(path);
}

function dataAddressOf(config: NodeConfig): string {
  const { host } = parseHostPort(config.dataPathAddress || config.advertiseAddress);
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
function claim({ io, nodeId, stateDir }: OverlayTierDeps): string {
  const path = claimPath(io);
  const text = `${JSON.stringify({ nodeId, stateDir })}\n`;
  if (io.create(path, text)) return '';
  const owner = readClaim(io, path);
  const isHeld =
    owner !== undefined &&
    owner.nodeId !== nodeId &&
    owner.stateDir !== stateDir &&
    io.stat(join(owner.stateDir, 'identity.pem')) !== undefined;
  if (isHeld) return owner.stateDir;
  io.write(path, text);
  return '';
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

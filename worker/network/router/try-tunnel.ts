import { HOST, type Netcmd, script } from './netcmd.ts';

/** What encrypts traffic between nodes, or why nothing does. */
export type TunnelKind =
  | { readonly found: true; readonly kind: 'kernel' | 'wireguard-go' }
  | { readonly found: false; readonly why: string };

/** Finds out what this machine encrypts with, by making a device in a namespace that is thrown away. */
export async function tryTunnel(netcmd: Netcmd, short: string): Promise<TunnelKind> {
  const name = `swy-${short}`;
  const input = `command -v wg >/dev/null || { echo "wg (wireguard-tools) is not installed"; exit 1; }
ip netns del ${name} 2>/dev/null
trap 'ip netns del ${name} 2>/dev/null' EXIT
ip netns add ${name} || exit 1
if ip -n ${name} link add swg type wireguard 2>/dev/null; then echo kernel; exit 0; fi
command -v wireguard-go >/dev/null ||
  { echo "the kernel has no WireGuard and wireguard-go is not installed"; exit 1; }
[ -c /dev/net/tun ] || { echo "wireguard-go needs /dev/net/tun"; exit 1; }
echo wireguard-go
`;
  const { code, output } = await netcmd.run(script(HOST, input));
  const said = output.trim().split('\n').at(-1) ?? '';
  if (code === 0 && (said === 'kernel' || said === 'wireguard-go'))
    return { found: true, kind: said };
  return { found: false, why: said || 'no reason was given' };
}

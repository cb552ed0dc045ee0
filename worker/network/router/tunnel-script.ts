import { PROTOCOL } from './names.ts';

/** Seconds that a program of the tunnel may take to answer before it counts as dead. */
const ANSWER_S = 5;
/** Where wireguard-go answers. */
const SOCKETS = '/var/run/wireguard';
/** Addresses inside the tunnel. Without the device nothing for them may leave the host another way. */
const INNER = '198.19.0.0/16';
const LAST_METRIC = 4_000_000_000;

export interface TunnelDevice {
  readonly device: string;
  /** Public; the private half is in the file at `keyPath`. */
  readonly key: string;
  readonly keyPath: string;
  readonly port: number;
  readonly address: string;
  readonly mtu: number;
}

/** Makes the device, of the kernel or else of wireguard-go, or takes up the one that answers. */
export function makeTunnel({ device, keyPath, port, address, mtu }: TunnelDevice): string {
  return `ip link show dev ${device} >/dev/null 2>&1 && ${answers(device)} || {
  ${endTunnel(device)}
  ip link add ${device} type wireguard 2>/dev/null || setsid wireguard-go ${device} </dev/null >/dev/null 2>&1
}
wg set ${device} listen-port ${port} private-key '${keyPath}'
ip address replace ${address}/16 dev ${device}
ip link set ${device} mtu ${mtu} up
ip route replace unreachable ${INNER} metric ${LAST_METRIC} proto ${PROTOCOL}`;
}

export function takeTunnel(device: string): string {
  return `${endTunnel(device)}
ip route del unreachable ${INNER} metric ${LAST_METRIC} proto ${PROTOCOL} 2>/dev/null || true`;
}

/** wireguard-go ends when its socket or its device is gone. */
function endTunnel(device: string): string {
  return `ip link del ${device} 2>/dev/null || true; rm -f ${SOCKETS}/${device}.sock`;
}

function answers(device: string): string {
  return `timeout ${ANSWER_S} wg show ${device} public-key >/dev/null 2>&1`;
}

/** What is read of the tunnel; nothing when it is not there or does not answer. No secret is in it. */
export function observeTunnelScript(device: string): string {
  return `ip link show dev ${device} >/dev/null 2>&1 && ${answers(device)} || exit 0
ip -j addr show dev ${device}; echo
for what in public-key listen-port allowed-ips; do
  wg show ${device} $what | sed "s/^/$what /"
done
`;
}

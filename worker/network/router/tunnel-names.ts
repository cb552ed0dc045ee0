/** Addresses inside the encrypted tunnel between nodes: one a node, made of its index. */
export function tunnelAddress(index: number): string {
  return `198.19.${index >> 8}.${index & 255}`;
}
/** Encrypted networks have a port of their own, which only the tunnel lets in. */
export function encryptedPort(dataPort: number): number {
  return dataPort + 1;
}
/** WireGuard's own. */
export function tunnelPort(dataPort: number): number {
  return dataPort + 2;
}

/** `host:port`, `[v6]:port` → its parts. The port of something else is 0, which refuses. */
export function splitHostPort(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':');
  const port = Number(address.slice(at + 1));
  const host = address.slice(0, at).replace(/^\[|\]$/g, '');
  const sound = at > 0 && Number.isInteger(port) && port > 0 && port < 65_536;
  return { host, port: sound ? port : 0 };
}

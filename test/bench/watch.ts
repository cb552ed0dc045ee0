import { ControlService, type ServiceProgress } from '../../proto/index.ts';
import type { Client } from '../../shared/rpc/rpc.ts';

/** Resolves at the first progress of service `name` for which `done` holds: pushed, never polled. */
export async function untilProgress(
  client: Client,
  name: string,
  done: (progress: ServiceProgress) => boolean,
): Promise<void> {
  const { service } = await client.unary(ControlService.getService, { ref: name });
  const request = { id: service!.service!.id, version: 0, removal: false };
  for await (const progress of client.serverStream(ControlService.watchService, request)) {
    if (done(progress)) return;
  }
  throw new Error(`the watch of ${name} ended`);
}

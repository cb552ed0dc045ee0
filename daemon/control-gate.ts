import { ControlService } from '../proto/index.ts';
import type { CallContext, Handlers, ServiceDefinition } from '../shared/rpc/rpc.ts';

type AnyCall = (request: unknown, context: CallContext) => unknown;

/**
 * Control on the local socket is registered once; who answers changes with the node's life: nobody
 * (with the reason), or the manager part that runs now. `current` rejects where there is none, and
 * waits for one that is starting.
 */
export function controlGate(
  current: () => Promise<Handlers<typeof ControlService>>,
): Handlers<typeof ControlService> {
  return gate(ControlService, current) as Handlers<typeof ControlService>;
}

function gate<S extends ServiceDefinition>(
  definition: S,
  current: () => Promise<Handlers<S>>,
): object {
  const handlers: { [name: string]: AnyCall } = {};
  for (const [name, method] of Object.entries(definition)) {
    const now = async (): Promise<AnyCall> => {
      const target = (await current()) as unknown as { readonly [name: string]: AnyCall };
      return target[name]!.bind(target);
    };
    handlers[name] = method.responseStream
      ? (request, context) => streamFrom(now, request, context)
      : async (request, context) => (await now())(request, context);
  }
  return handlers;
}

async function* streamFrom(
  now: () => Promise<AnyCall>,
  request: unknown,
  context: CallContext,
): AsyncIterable<unknown> {
  yield* (await now())(request, context) as AsyncIterable<unknown>;
}

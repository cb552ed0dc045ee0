import { ControlService } from '../proto/index.ts';
import { messageOf, SwarmError } from '../shared/errors.ts';
import type { CallContext, Duplex, Handlers, ServiceDefinition } from '../shared/rpc/rpc.ts';

type AnyDuplex = Duplex<unknown, unknown>;
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
    if (method.requestStream)
      handlers[name] = (stream, context) => void talk(now, stream as AnyDuplex, context);
    else
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

/** Nothing of the stream is read before its handler listens. */
async function talk(
  now: () => Promise<AnyCall>,
  stream: AnyDuplex,
  context: CallContext,
): Promise<void> {
  try {
    (await now())(stream, context);
  } catch (error) {
    const known = SwarmError.is(error) ? error : new SwarmError('INTERNAL', messageOf(error));
    stream.destroy(known);
  }
}

import type { Method } from '../../proto/index.ts';
import { LIMITS } from '../limits.ts';
import { Attempts, type ForwardDeps, type Target } from './attempts.ts';
import { forwardDuplex, type Talking } from './forward-duplex.ts';
import type { CallContext, Duplex, Handlers, ServiceDefinition } from './rpc.ts';

type Unary = (request: unknown, context: CallContext) => Promise<unknown>;
type Streaming = (request: unknown, context: CallContext) => AsyncIterable<unknown>;

/**
 * The same handlers, working on every manager: what only the leader can do is passed on to it, with
 * the caller's request id, and tried again over changes of the leader until the caller's deadline
 * (at most `LIMITS.writeDeadlineMs`). A call that was passed on is never passed on again. There are
 * no methods that only the caller streams.
 */
export function forwarding<S extends ServiceDefinition>(
  definition: S,
  handlers: Handlers<S>,
  deps: ForwardDeps,
): Handlers<S> {
  const wrapped: { [name: string]: unknown } = {};
  for (const [name, method] of Object.entries(definition)) {
    const local = (handlers as { readonly [name: string]: unknown })[name];
    wrapped[name] = forwarded({ name, method, deps }, local as object, handlers);
  }
  return wrapped as Handlers<S>;
}

function forwarded(target: Target, handler: object, handlers: object): unknown {
  const { requestStream, responseStream } = target.method;
  if (requestStream) {
    const local = (handler as Talking).bind(handlers);
    return (stream: Duplex<unknown, unknown>, context: CallContext) =>
      forwardDuplex(target, local, stream, context);
  }
  if (responseStream) {
    const local = (handler as Streaming).bind(handlers);
    return (request: unknown, context: CallContext) =>
      forwardStream(target, local, request, context);
  }
  const local = (handler as Unary).bind(handlers);
  return (request: unknown, context: CallContext) => forwardUnary(target, local, request, context);
}

async function forwardUnary(
  target: Target,
  local: Unary,
  request: unknown,
  context: CallContext,
): Promise<unknown> {
  const method = target.method as Method<unknown, unknown, false, false>;
  const told = await fromLeader(target, request, context);
  if (told !== undefined) return told;
  const attempts = new Attempts(target, context);
  for (;;) {
    try {
      if (attempts.here()) return await local(request, attempts.context());
      return await attempts.leader().unary(method, request, attempts.options());
    } catch (error) {
      await attempts.failed(error);
    }
  }
}

/** What the leader says to a read of which it knows more; undefined: it is answered here. */
async function fromLeader(
  { name, method, deps }: Target,
  request: unknown,
  { forwarded, consistency, signal }: CallContext,
): Promise<unknown> {
  if (!deps.leaderFirst?.has(name) || forwarded || consistency === 'stale') return undefined;
  const client = deps.isLeader() ? undefined : deps.leaderClient();
  const options = { consistency, signal, forwarded: true, timeoutMs: LIMITS.leaderFirstMs };
  // Whatever is wrong there, the answer from here says it as well.
  return client
    ?.unary(method as Method<unknown, unknown, false, false>, request, options)
    .catch(() => undefined);
}

async function* forwardStream(
  target: Target,
  local: Streaming,
  request: unknown,
  context: CallContext,
): AsyncIterable<unknown> {
  const method = target.method as Method<unknown, unknown, false, true>;
  const attempts = new Attempts(target, context);
  let begun = false;
  for (;;) {
    try {
      const items = attempts.here()
        ? local(request, attempts.context())
        : attempts.leader().serverStream(method, request, attempts.streamOptions());
      for await (const item of items) {
        begun = true;
        yield item;
      }
      return;
    } catch (error) {
      // What was seen cannot be taken back: the caller opens the stream anew, from its cursor.
      if (begun) throw error;
      await attempts.failed(error);
    }
  }
}

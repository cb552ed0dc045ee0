import type { NetworkLookRequest, NodeNetwork, StreamUp } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { AgentStreams } from './agent-streams.ts';

/** One answer of a node about its network. Throws NO_ANSWER or DEADLINE, naming the node. */
export async function lookAtNetwork(
  streams: AgentStreams,
  nodeId: string,
  request: NetworkLookRequest,
  signal: AbortSignal,
): Promise<NodeNetwork> {
  let resolve!: (network: NodeNetwork) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<NodeNetwork>((...fns) => {
    [resolve, reject] = fns;
  });
  const silent = new SwarmError('NO_ANSWER', 'it ended without an answer');
  const stream = streams.open(
    nodeId,
    { network: request },
    {
      receive({ network, error, end }: StreamUp): void {
        if (network !== null) resolve(network);
        else if (error !== '') reject(new SwarmError('RUNTIME', error));
        else if (end) reject(silent);
      },
      closed: (error) => reject(error ?? silent),
    },
  );
  const stop = (): void => reject(new SwarmError('DEADLINE', 'it did not answer in time'));
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', stop);
    stream.close();
  }
}

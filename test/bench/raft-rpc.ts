import { type RaftAck, StoredRow } from '../../proto/index.ts';
import { dial } from '../../shared/rpc/client.ts';
import type { Client, Duplex } from '../../shared/rpc/rpc.ts';
import type { Identity } from '../../shared/tls/identity.ts';
import { LiveIdentity } from '../../shared/tls/live-identity.ts';
import { closedLoop, type LoadResult } from './raft-load.ts';
import { BenchService, type MemberOptions } from './raft-protocol.ts';

/** More streams or calls than this share a connection. */
const CONNECTIONS_MAX = 8;

export interface RpcLoad {
  run(how: 'stream' | 'unary', width: number, warmMs: number, runMs: number): Promise<LoadResult>;
  close(): void;
}

/** Clients of the leader, in this process: each waits for its answer before it asks again. */
export function rpcLoad(leader: MemberOptions, identity: Identity): RpcLoad {
  const live = new LiveIdentity(identity);
  const clients: Client[] = [];
  for (let i = 0; i < CONNECTIONS_MAX; i++) {
    clients.push(dial(leader.address, { tls: live, ownConnection: true }));
  }
  const request = StoredRow.create({ table: 'bench', id: 'row' });
  return {
    async run(how, width, warmMs, runMs) {
      const streams = how === 'stream' ? clients.slice(0, width).map((c) => new AskStream(c)) : [];
      let next = 0;
      const result = await closedLoop(width, warmMs, runMs, () => {
        const at = next++ % CONNECTIONS_MAX;
        if (how === 'unary') return clients[at]!.unary(BenchService.put, request);
        return streams[at % streams.length]!.ask(request);
      });
      for (const stream of streams) stream.end();
      return result;
    },
    close: () => {
      for (const client of clients) client.close();
    },
  };
}

/** Questions on one stream; the answers come in their order. */
class AskStream {
  readonly #stream: Duplex<RaftAck, StoredRow>;
  readonly #asking: (() => void)[] = [];

  constructor(client: Client) {
    this.#stream = client.duplex(BenchService.stream);
    this.#stream.onMessage(() => this.#asking.shift()?.());
  }
  ask(request: StoredRow): Promise<void> {
    return new Promise((resolve) => {
      this.#asking.push(resolve);
      this.#stream.send(request);
    });
  }
  end(): void {
    this.#stream.end();
  }
}

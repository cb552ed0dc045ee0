import { SnapshotChunk, type SnapshotTrailer, StoredRow } from '../../proto/index.ts';
import { dial } from '../../shared/rpc/client.ts';
import type { Client, Duplex } from '../../shared/rpc/rpc.ts';
import type { Identity } from '../../shared/tls/identity.ts';
import { LiveIdentity } from '../../shared/tls/live-identity.ts';
import { closedLoop, type LoadResult } from './raft-load.ts';
import { BenchService, type MemberOptions } from './raft-protocol.ts';

/** More streams or calls than this share a connection. */
const CONNECTIONS_MAX = 8;
/** The row itself is the member's own: what is sent names it. */
const VALUE = Buffer.from('row');

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
        return streams[at % streams.length]!.ask(VALUE);
      });
      for (const stream of streams) stream.end();
      return result;
    },
    close: () => {
      for (const client of clients) client.close();
    },
  };
}

/** Puts on one stream; those of one turn of the event loop share a message. */
class AskStream {
  readonly #stream: Duplex<SnapshotTrailer, SnapshotChunk>;
  readonly #asking: (() => void)[] = [];
  #values: Uint8Array[] = [];

  constructor(client: Client) {
    this.#stream = client.duplex(BenchService.stream);
    this.#stream.onMessage(({ rows }) => {
      for (let n = 0; n < rows; n++) this.#asking.shift()?.();
    });
  }
  ask(value: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#asking.push(resolve);
      if (this.#values.push(value) === 1) setImmediate(() => this.#flush());
    });
  }
  #flush(): void {
    this.#stream.send(SnapshotChunk.create({ values: this.#values }));
    this.#values = [];
  }
  end(): void {
    this.#stream.end();
  }
}

import { ListenFailure, type Protocol } from '../../../proto/index.ts';
import { messageOf } from '../../../shared/errors.ts';
import { type ListenerWish, place } from './wish.ts';

/** Names the holder of a port, where it may be seen. */
export type OwnerLookup = (
  protocol: Protocol,
  address: string,
  port: number,
) => Promise<string | undefined>;

/** Why a port cannot be listened on, for people: what, why, and what to do. */
export async function listenFailure(
  wish: ListenerWish,
  error: unknown,
  owner: OwnerLookup,
): Promise<ListenFailure> {
  return ListenFailure.create({
    protocol: wish.protocol,
    port: wish.port,
    reason: `cannot listen on ${place(wish)}: ${await reasonOf(wish, error, owner)}`,
  });
}

async function ownerOf(wish: ListenerWish, owner: OwnerLookup): Promise<string> {
  return (await owner(wish.protocol, wish.address, wish.port)) ?? 'another process';
}

async function reasonOf(wish: ListenerWish, error: unknown, owner: OwnerLookup): Promise<string> {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return `it is taken by ${await ownerOf(wish, owner)}`;
    case 'EACCES':
      return `ports below net.ipv4.ip_unprivileged_port_start (1024) need root; publish a higher one`;
    case 'EADDRNOTAVAIL':
      return `this machine has no address ${wish.address}; see --publish-addr`;
    case 'EMFILE':
    case 'ENFILE':
      return 'too many open files; raise the limit (ulimit -n)';
    default:
      return messageOf(error);
  }
}

import {
  CaService,
  ControlService,
  type DispatcherService,
  Freshness,
  type ImagesService,
  type RaftService,
  type RaftStatus,
  Role,
} from '../proto/index.ts';
import type { Clock } from '../shared/clock.ts';
import { LIMITS } from '../shared/limits.ts';
import type { Log } from '../shared/log.ts';
import type { Random } from '../shared/random.ts';
import type { ForwardDeps } from '../shared/rpc/attempts.ts';
import { forwarding } from '../shared/rpc/forward.ts';
import type { Client, Handlers } from '../shared/rpc/rpc.ts';
import { parseToken } from '../shared/tls/token.ts';
import type { Ca } from './ca/ca.ts';
import { LEADER_FIRST, LOCAL_METHODS, makeControl } from './control/control.ts';
import type { Dispatcher } from './dispatcher/dispatcher.ts';
import type { BlobCopies } from './images/blob-copies.ts';
import type { BlobStore } from './images/blob-store.ts';
import { imagesService } from './images/images-service.ts';
import type { RegistryLookup } from './images/registry-lookup.ts';
import type { LeaderClient } from './leader-client.ts';
import { explain } from './loop/explain.ts';
import type { Loop } from './loop/loop.ts';
import { type RaftDriver, raftHandlers } from './raft/index.ts';
import type { Roles } from './roles/roles.ts';
import type { Store } from './store/view.ts';

/** What a manager answers to users, agents and other managers. */
export interface ManagerHandlers {
  readonly control: Handlers<typeof ControlService>;
  readonly ca: Handlers<typeof CaService>;
  readonly dispatcher: Handlers<typeof DispatcherService>;
  readonly raft: Handlers<typeof RaftService>;
  readonly images: Handlers<typeof ImagesService>;
}

/** The parts of a manager that answer, or that answers are made of. */
export interface AnsweringParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly store: Store;
  readonly driver: RaftDriver;
  readonly leader: LeaderClient;
  readonly ca: Ca;
  readonly loop: Loop;
  readonly dispatcher: Dispatcher;
  readonly roles: Roles;
  readonly registries: RegistryLookup;
  readonly blobs: BlobStore;
  readonly copies: BlobCopies;
  /** How this member is, with names; how the one at an address says that it is. */
  readonly status: () => RaftStatus;
  readonly askStatus: (address: string) => Promise<RaftStatus>;
  /** A connection of its own with each call. */
  readonly dialOwn: (address: string) => Client;
}

/** What only the leader can answer is passed on to it. */
export function makeHandlers(parts: AnsweringParts): ManagerHandlers {
  const { clock, ca, dispatcher, driver, roles, blobs, copies } = parts;
  const forward = forwardDeps(parts);
  return {
    control: forwarding(ControlService, controlOf(parts), {
      ...forward,
      local: LOCAL_METHODS,
      leaderFirst: LEADER_FIRST,
    }),
    ca: forwarding(CaService, ca.handlers, {
      ...forward,
      local: new Set(['getRoot', 'renewalNonce']),
    }),
    dispatcher: dispatcher.handlers,
    raft: raftHandlers(driver, (request, context) => roles.join(request, context)),
    images: imagesService({ blobs, copies, clock }),
  };
}

function controlOf(parts: AnsweringParts): Handlers<typeof ControlService> {
  const { clock, log, store, driver, ca, loop, dispatcher, blobs, copies } = parts;
  return makeControl({
    store,
    clock,
    log,
    reads: {
      linearize: async (consistency) => {
        const stale = consistency === 'stale';
        if (!stale) await driver.readIndex();
        return Freshness.create({ stale, asOfWallMs: clock.wallMs() });
      },
      hearsLeader: () => driver.hasLeader,
      leaderlessMs: () =>
        Math.min(
          electionsMs(driver, LIMITS.readWithoutLeaderElections),
          LIMITS.readWithoutLeaderMaxMs,
        ),
    },
    raft: { status: parts.status, leader: () => driver.leader(), ask: parts.askStatus },
    dispatcher,
    explain: (view, taskId) => explain(view, taskId, loop.nodeIndex),
    tokens: {
      get: (role) => ca.token(role),
      rotate: (role, asked) => ca.rotateToken(role, asked),
      rootDigest: () => parseToken(ca.token(Role.WORKER)).rootDigest,
    },
    registries: parts.registries,
    disks: { blobs, copies, dial: parts.dialOwn },
    selfNodeId: driver.identity.nodeId,
  });
}

function forwardDeps({ clock, random, driver, leader }: AnsweringParts): ForwardDeps {
  return {
    clock,
    random,
    isLeader: () => driver.isLeader,
    leaderClient: () => leader.get(),
    leaderlessMs: () => electionsMs(driver, LIMITS.writeWithoutLeaderElections),
    noLeader: () => leader.noLeader(),
  };
}

function electionsMs(driver: RaftDriver, count: number): number {
  return driver.timing.electionTimeoutMs * count;
}

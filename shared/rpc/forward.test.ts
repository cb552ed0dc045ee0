import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ControlService,
  Empty,
  Ref,
  RemoveServiceResponse,
  ServiceProgress,
} from '../../proto/index.ts';
import { ManualClock } from '../clock.ts';
import { SwarmError } from '../errors.ts';
import { SeededRandom } from '../random.ts';
import type { ForwardDeps } from './attempts.ts';
import { forwarding } from './forward.ts';
import type { CallContext, CallOptions, Client, Handlers } from './rpc.ts';

const DEFINITION = {
  removeService: ControlService.removeService,
  watchService: ControlService.watchService,
};
type Definition = typeof DEFINITION;

const CONTEXT: CallContext = {
  peer: { kind: 'local' },
  peerAddress: '',
  requestId: 'r1',
  consistency: 'linearizable',
  timeoutMs: 5_000,
  signal: new AbortController().signal,
  forwarded: false,
};

/** A leader that answers what the test says. */
class Leader {
  readonly calls: CallOptions[] = [];
  answer: () => RemoveServiceResponse = () => RemoveServiceResponse.create({ id: 'leader' });
  readonly client = {
    address: 'leader:1',
    unary: async (_method: unknown, _request: unknown, options: CallOptions) => {
      this.calls.push(options);
      return this.answer();
    },
    serverStream: async function* () {
      yield ServiceProgress.create({ message: 'leader' });
    },
  } as unknown as Client;
}

function setUp(patch: Partial<ForwardDeps> = {}) {
  const clock = new ManualClock();
  const leader = new Leader();
  const local: Handlers<Definition> = {
    removeService: async () => RemoveServiceResponse.create({ id: 'local' }),
    watchService: async function* () {
      yield ServiceProgress.create({ message: 'local' });
    },
  };
  const deps: ForwardDeps = {
    clock,
    random: new SeededRandom(1),
    isLeader: () => false,
    leaderClient: () => leader.client,
    leaderlessMs: () => 8_000,
    noLeader: () => new SwarmError('NO_QUORUM', 'there is no leader'),
    ...patch,
  };
  return { clock, leader, local, deps, handlers: forwarding(DEFINITION, local, deps) };
}

/** Lets waits pass until `work` is done. */
async function running<R>(clock: ManualClock, work: Promise<R>): Promise<R> {
  let done = false;
  const end = work.finally(() => {
    done = true;
  });
  end.catch(() => undefined);
  while (!done) {
    for (let i = 0; i < 10; i++) await Promise.resolve();
    clock.advance(10);
  }
  return end;
}

test('the leader answers itself', async () => {
  const { handlers, leader } = setUp({ isLeader: () => true });
  assert.equal((await handlers.removeService(Ref.create(), CONTEXT)).id, 'local');
  assert.equal(leader.calls.length, 0);
});

test('another manager passes on with request id, consistency and the mark', async () => {
  const { handlers, leader } = setUp();
  assert.equal((await handlers.removeService(Ref.create(), CONTEXT)).id, 'leader');
  const { requestId, consistency, forwarded, timeoutMs } = leader.calls[0]!;
  assert.deepEqual(
    { requestId, consistency, forwarded },
    {
      requestId: 'r1',
      consistency: 'linearizable',
      forwarded: true,
    },
  );
  assert.ok(timeoutMs! <= 5_000);
});

test('what was passed on is not passed on again', async () => {
  const { deps, leader } = setUp();
  const handlers = forwarding(
    { removeService: ControlService.removeService },
    {
      removeService: async () => {
        throw new SwarmError('NOT_LEADER', 'not me');
      },
    },
    deps,
  );
  await assert.rejects(handlers.removeService(Ref.create(), { ...CONTEXT, forwarded: true }), {
    code: 'NOT_LEADER',
  });
  assert.equal(leader.calls.length, 0);
});

test('a local method goes on to the leader when it finds that it must', async () => {
  const { deps } = setUp({ local: new Set(['removeService']) });
  let tries = 0;
  const handlers = forwarding(
    { removeService: ControlService.removeService },
    {
      removeService: async () => {
        tries++;
        throw new SwarmError('NOT_LEADER', 'not me');
      },
    },
    deps,
  );
  const work = handlers.removeService(Ref.create(), CONTEXT);
  assert.equal((await running(deps.clock as ManualClock, work)).id, 'leader');
  assert.equal(tries, 1);
});

test('a change of the leader is waited out', async () => {
  let found = false;
  const { clock, leader, handlers } = setUp({
    leaderClient: () => (found ? leader.client : undefined),
  });
  clock.setTimer(900, () => {
    found = true;
  });
  const answer = await running(clock, handlers.removeService(Ref.create(), CONTEXT));
  assert.equal(answer.id, 'leader');
  assert.ok(clock.monotonicMs() < 2_000);
});

test('without a leader until the deadline the answer says which managers are missing', async () => {
  const { clock, handlers } = setUp({ leaderClient: () => undefined });
  await assert.rejects(running(clock, handlers.removeService(Ref.create(), CONTEXT)), {
    code: 'NO_QUORUM',
  });
  assert.ok(clock.monotonicMs() <= 5_300);
});

test('managers that are gone are not waited for until a long deadline', async () => {
  const { clock, handlers } = setUp({ leaderClient: () => undefined });
  const patient = { ...CONTEXT, timeoutMs: 60_000 };
  await assert.rejects(running(clock, handlers.removeService(Ref.create(), patient)), {
    code: 'NO_QUORUM',
  });
  assert.ok(clock.monotonicMs() < 10_000);
  const slow = setUp({ leaderClient: () => undefined, leaderlessMs: () => 30_000 });
  await assert.rejects(running(slow.clock, slow.handlers.removeService(Ref.create(), patient)));
  assert.ok(slow.clock.monotonicMs() > 29_000, 'where elections take long, so does the wait');
});

test('what may have been done is never called undone by a later attempt', async () => {
  let known = true;
  const { clock, leader, handlers } = setUp({
    leaderClient: () => (known ? leader.client : undefined),
  });
  leader.answer = () => {
    known = false;
    throw new SwarmError('MAYBE_DONE', 'lost');
  };
  await assert.rejects(running(clock, handlers.removeService(Ref.create(), CONTEXT)), {
    code: 'MAYBE_DONE',
    message: 'lost; there is no leader',
  });
});

test('an attempt that came nowhere near the state does not call an earlier one undone', async () => {
  for (const code of ['OVERLOADED', 'READ_ONLY', 'FORBIDDEN', 'INTERNAL'] as const) {
    const { clock, leader, handlers } = setUp();
    const errors = [
      new SwarmError('MAYBE_DONE', 'the answer was lost'),
      new SwarmError(code, 'no'),
    ];
    leader.answer = () => {
      throw errors.shift()!;
    };
    const work = handlers.removeService(Ref.create(), CONTEXT);
    await assert.rejects(running(clock, work), { code: 'MAYBE_DONE' });
  }
  const { clock, leader, handlers } = setUp();
  const errors = [
    new SwarmError('MAYBE_DONE', 'the answer was lost'),
    new SwarmError('VERSION_CONFLICT', 'another version'),
  ];
  leader.answer = () => {
    throw errors.shift()!;
  };
  const work = handlers.removeService(Ref.create(), CONTEXT);
  await assert.rejects(running(clock, work), { code: 'VERSION_CONFLICT' });
});

test('a lost answer is asked for again only under a request id', async () => {
  const { clock, leader, handlers } = setUp();
  leader.answer = () => {
    if (leader.calls.length === 1) throw new SwarmError('MAYBE_DONE', 'lost');
    return RemoveServiceResponse.create({ id: 'again' });
  };
  const first = await running(clock, handlers.removeService(Ref.create(), CONTEXT));
  assert.equal(first.id, 'again');
  leader.calls.length = 0;
  const without = { ...CONTEXT, requestId: '' };
  await assert.rejects(running(clock, handlers.removeService(Ref.create(), without)), {
    code: 'MAYBE_DONE',
  });
});

test("a user's error comes back at once", async () => {
  const { leader, handlers } = setUp();
  leader.answer = () => {
    throw new SwarmError('NOT_FOUND', 'no such service');
  };
  await assert.rejects(handlers.removeService(Ref.create(), CONTEXT), { code: 'NOT_FOUND' });
  assert.equal(leader.calls.length, 1);
});

test('what the leader itself could not reach is not asked for again', async () => {
  const { leader, handlers } = setUp();
  leader.answer = () => {
    throw new SwarmError('NO_ANSWER', 'the registry is away');
  };
  await assert.rejects(handlers.removeService(Ref.create(), CONTEXT), { code: 'NO_ANSWER' });
  assert.equal(leader.calls.length, 1);
});

test('streams are passed on as well', async () => {
  const { handlers } = setUp();
  const seen: string[] = [];
  for await (const item of handlers.watchService(Empty.create() as never, CONTEXT)) {
    seen.push(item.message);
  }
  assert.deepEqual(seen, ['leader']);
});

test('a read of which the leader knows more is asked of it, and answered here without it', async () => {
  const some = new Set(['removeService']);
  const { handlers, leader, deps } = setUp({ local: some, leaderFirst: some });
  const ask = async (of = handlers, context = CONTEXT) =>
    (await of.removeService(Ref.create({ ref: 'x' }), context)).id;
  assert.equal(await ask(), 'leader');
  assert.equal(leader.calls[0]!.forwarded, true);
  assert.equal(await ask(handlers, { ...CONTEXT, consistency: 'stale' }), 'local');
  assert.equal(await ask(handlers, { ...CONTEXT, forwarded: true }), 'local');
  leader.answer = () => {
    throw new SwarmError('UNREACHABLE', 'gone');
  };
  assert.equal(await ask(), 'local');
  const { local } = setUp();
  const alone = forwarding(DEFINITION, local, { ...deps, leaderClient: () => undefined });
  assert.equal(await ask(alone), 'local');
});

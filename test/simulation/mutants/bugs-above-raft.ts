import { type Mutant, mutant } from './mutant.ts';

const CORE = 'manager/raft/core';
const STORE = 'manager/store';
const LOOP = 'manager/loop';

/**
 * Bugs of what stands on raft, and of its limits: each breaks a promise that none of the twenty
 * breaks, so that every one is seen to be looked after.
 */
export const BUGS_ABOVE_RAFT: readonly Mutant[] = [
  mutant(
    0,
    'a leader sends more than its window holds',
    [
      [`${CORE}/replication`, 'p.state === ProgressState.Replicate && p.inflights.full()', 'false'],
      [`${CORE}/progress`, 'this.flowPaused = this.inflights.full();', ''],
      [
        `${CORE}/inflights`,
        "assert(this.used < this.size, 'a message is sent into a full window');",
        'if (this.used >= this.size) return;',
      ],
    ],
    { profile: 'a small window' },
  ),
  mutant(
    0,
    'what waits for a peer has no limit',
    [
      [
        'manager/raft/transport/channel',
        'if (!fits && !isIdle)',
        'if (!fits && !isIdle && tookEffect())',
      ],
    ],
    { profile: 'wear and tear' },
  ),
  mutant(
    0,
    'the name of a new state is not made durable',
    [
      [
        'manager/raft/storage/bootstrap',
        'await disk.rename(fresh, directory);\n    await disk.syncDirectory(dirname(directory));',
        'await disk.rename(fresh, directory);',
      ],
    ],
    { profile: 'members' },
  ),
  mutant(0, 'a row is written by another part than its own', [
    [
      `${STORE}/draft`,
      'schema.writer === this.#writer || schema.alsoPut',
      'true || schema.alsoPut',
    ],
    ['manager/dispatcher/status-writer', "{ writer: 'status' }", "{ writer: 'loop' }"],
  ]),
  mutant(0, 'cluster time begins anew with every leader', [
    [
      `${STORE}/replicated-store`,
      'this.#timeBaseMs = this.#tables.timeMs;',
      'this.#timeBaseMs = 0;',
    ],
    [
      `${STORE}/replicated-store`,
      'return Math.max(this.#tables.timeMs, Math.floor(this.#timeBaseMs + elapsedMs));',
      'return Math.floor(this.#timeBaseMs + elapsedMs);',
    ],
    [`${STORE}/apply`, 'Math.max(tables.timeMs, entry.timeMs)', 'entry.timeMs'],
  ]),
  mutant(
    0,
    'an older release drops the fields of a newer one',
    [['proto/codec', 'if (unknowns !== undefined)', 'if (unknowns !== undefined && tookEffect())']],
    { profile: 'releases' },
  ),
  mutant(0, 'events are told again after a cursor', [
    ['manager/control/events', 'ordinal < at.seen', 'ordinal < at.seen && tookEffect()'],
  ]),
  mutant(0, 'events that came while a reader caught up are lost', [
    ['manager/control/events', 'row.version >= index', 'row.version > index + 1'],
  ]),
  mutant(0, 'a task that has ended comes back', [
    [
      'manager/dispatcher/task-status',
      'report.state < before.state || isFinal(before.state)',
      '(report.state < before.state || isFinal(before.state)) && tookEffect()',
    ],
  ]),
  mutant(
    0,
    'a published port is given to two services',
    [
      [
        `${LOOP}/allocator/ports`,
        'ingressOwner(view, key, state.id) !== undefined)',
        'ingressOwner(view, key, state.id) !== undefined && tookEffect())',
      ],
      [`${LOOP}/allocator/ports`, 'ingressOwner(view, key, state.id) === undefined', 'true'],
    ],
    { profile: 'wear and tear' },
  ),
  mutant(0, 'an address is given to two tasks', [
    [`${LOOP}/addressing/address-range`, 'this.#taken.add(at);', ''],
  ]),
  mutant(0, 'a node gives more than it has', [
    [
      `${LOOP}/scheduler/filters`,
      'record.nanoCpus + nanoCpus > (has?.nanoCpus ?? 0)',
      'record.nanoCpus + nanoCpus > (has?.nanoCpus ?? 0) && tookEffect()',
    ],
  ]),
  mutant(
    0,
    'a drained node gets tasks',
    [
      [
        `${LOOP}/node-condition`,
        'if (node.availability === Availability.DRAIN)',
        'if (node.availability === Availability.DRAIN && tookEffect())',
      ],
    ],
    { profile: 'wear and tear' },
  ),
  mutant(0, 'two tasks of one slot are behind a port', [
    ['manager/dispatcher/backends', 'chosen.get(slotKey(one.task)) === one', 'true'],
  ]),
  mutant(
    0,
    'an agent obeys a leader of the past',
    [
      [
        'worker/agent/assignments',
        'comparePositions(to, orders.position) < 0',
        'comparePositions(to, orders.position) < 0 && tookEffect()',
      ],
    ],
    {
      profile: 'two leaders',
      // Ours steps down before another one can lead for long; raft needs no such check.
      aids: [
        [
          `${CORE}/step`,
          'if (r.config.checkQuorum)',
          'if (r.config.checkQuorum && (r.checks = (r.checks ?? 0) + 1) % 8 === 0)',
        ],
      ],
    },
  ),
];

import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { messageOf, SwarmError } from '../../../shared/errors.ts';
import type {
  Engine,
  EngineIterator,
  EngineOp,
  EngineSnapshot,
  EngineTextIterator,
  KeyRange,
  OpenEngine,
} from '../engine.ts';
import { checkLevel } from './level-check.ts';

/**
 * What LevelDB gathers before it writes a table. Rows are replaced and log entries deleted soon: with
 * its own 4 MiB most of them are sorted and merged first, which cost a fifth of all CPU under load.
 */
const WRITE_BUFFER_BYTES = 16 << 20;

/**
 * Opens (or creates) a LevelDB. Rejects with STATE_DIR when another process holds it, and with
 * DAMAGED, before LevelDB sees it, when a byte of its files is not what was written.
 */
export const openLevel: OpenEngine = async (directory) => {
  if (await isLocked(directory)) throw inUse(directory);
  await checkLevel(directory);
  const level = new Level<Uint8Array, Uint8Array>(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    writeBufferSize: WRITE_BUFFER_BYTES,
  }) as unknown as NodeLevel;
  try {
    await level.open();
  } catch (error) {
    throw openError(directory, error);
  }
  return new LevelEngine(level);
};

/** What `level` is on Node; its own declarations are those of Node and browsers together. */
interface NodeLevel {
  open(): Promise<void>;
  close(): Promise<void>;
  batch(): LevelBatch;
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  getSync(key: Uint8Array, options: object): Uint8Array | undefined;
  iterator(options: object): LevelIterator;
  snapshot(): LevelHandle;
}
interface LevelIterator extends LevelHandle {
  nextv(count: number): Promise<[Uint8Array, Uint8Array][]>;
}
interface LevelTextIterator extends LevelHandle {
  nextv(count: number): Promise<[string, Uint8Array][]>;
}
interface LevelHandle {
  close(): Promise<void>;
}
interface LevelBatch {
  put(key: Uint8Array, value: Uint8Array): unknown;
  del(key: Uint8Array): unknown;
  write(options: { sync: boolean }): Promise<void>;
}

class LevelSnapshot implements EngineSnapshot {
  readonly level: LevelHandle;
  constructor(level: LevelHandle) {
    this.level = level;
  }
  close(): Promise<void> {
    return this.level.close();
  }
}

class LevelEngine implements Engine {
  readonly copiesAtOnce = true;
  readonly #level: NodeLevel;
  constructor(level: NodeLevel) {
    this.#level = level;
  }
  async write(ops: readonly EngineOp[], sync: boolean): Promise<void> {
    if (ops.length === 0) return;
    // A chained batch costs half the CPU of an array: that one copies every operation.
    const batch = this.#level.batch();
    for (const { key, value } of ops) {
      if (value === undefined) batch.del(key);
      else batch.put(key, value);
    }
    await batch.write({ sync });
  }
  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#level.get(key).catch(failRead);
  }
  getSync(key: Uint8Array, snapshot?: EngineSnapshot): Uint8Array | undefined {
    try {
      return this.#level.getSync(key, snapshotOption(snapshot));
    } catch (error) {
      return failRead(error);
    }
  }
  iterate(range: KeyRange, snapshot?: EngineSnapshot): EngineIterator {
    const options = { gte: range.gte, lt: range.lt, ...snapshotOption(snapshot) };
    const iterator = this.#level.iterator({ ...options, highWaterMarkBytes: 256 << 10 });
    const next = (count: number) => iterator.nextv(count).catch(failRead);
    return { next, close: () => iterator.close() };
  }
  iterateText(prefix: Uint8Array): EngineTextIterator {
    const gte = prefix;
    const iterator = this.#level.iterator({
      ...{ gte, lt: successor(prefix), highWaterMarkBytes: 256 << 10 },
      keyEncoding: TEXT_KEYS,
    }) as unknown as LevelTextIterator;
    const next = (count: number) => iterator.nextv(count).catch(failRead);
    return { next, close: () => iterator.close() };
  }
  snapshot(): EngineSnapshot {
    return new LevelSnapshot(this.#level.snapshot());
  }
  close(): Promise<void> {
    return this.#level.close();
  }
}

/** Keys come out as text; limits go in as they are, because they need not be text. */
const TEXT_KEYS = {
  name: 'swarm-text-keys',
  format: 'utf8',
  encode: (limit: unknown) => limit,
  decode: (key: unknown) => key,
};

/** The first key behind all that begin with `prefix`, whose last byte is below 255. */
function successor(prefix: Uint8Array): Uint8Array {
  const next = Uint8Array.from(prefix);
  next[next.length - 1]!++;
  return next;
}

function snapshotOption(snapshot: EngineSnapshot | undefined): { snapshot?: LevelHandle } {
  return snapshot instanceof LevelSnapshot ? { snapshot: snapshot.level } : {};
}

/**
 * LevelDB locks its folder before it looks at anything in it; what another process is writing must
 * not be judged.
 */
async function isLocked(directory: string): Promise<boolean> {
  const lock = await stat(join(directory, 'LOCK')).catch(() => undefined);
  const held = lock && (await readFile('/proc/locks', 'latin1').catch(() => ''));
  return held ? hasLock(held, lock) : false;
}

/**
 * Whether `locks` (the text of /proc/locks) has a lock on that very file: another file system may have
 * a file of the same number.
 */
export function hasLock(
  locks: string,
  file: { readonly dev: number; readonly ino: number },
): boolean {
  const major = Math.floor(file.dev / 256) & 0xfff;
  const minor = (file.dev & 0xff) | ((file.dev >>> 12) & 0xfff00);
  const hex = (number: number): string => number.toString(16).padStart(2, '0');
  const place = ` ${hex(major)}:${hex(minor)}:${file.ino} `;
  return locks.split('\n').some((line) => line.includes(' POSIX ') && line.includes(place));
}

function inUse(directory: string, cause?: unknown): SwarmError {
  const text = `another swarm daemon uses this directory: ${directory}`;
  return new SwarmError('STATE_DIR', text, { cause });
}

function openError(directory: string, error: unknown): SwarmError {
  const code = levelCode(error);
  if (code === 'LEVEL_LOCKED') return inUse(directory, error);
  if (code === 'LEVEL_CORRUPTION') return corrupt('opened', error);
  const text = `the state database in ${directory} cannot be opened: ${causeOf(error)}`;
  return new SwarmError('STATE_DIR', text, { cause: error });
}

function failRead(error: unknown): never {
  if (levelCode(error) === 'LEVEL_CORRUPTION') throw corrupt('read', error);
  const text = `the state database cannot be read: ${causeOf(error)}`;
  throw new SwarmError('STATE_DIR', text, { cause: error });
}

function corrupt(what: string, cause: unknown): SwarmError {
  const text = `the state database cannot be ${what}: LevelDB says it is corrupt`;
  return new SwarmError('DAMAGED', text, { cause });
}

/** Errors of LevelDB itself are the cause of those of `level`, or stand for themselves. */
function levelCode(error: unknown): string | undefined {
  const { cause, code } = error as { cause?: { code?: string }; code?: string };
  return cause?.code ?? code;
}

function causeOf(error: unknown): string {
  return messageOf((error as { cause?: unknown }).cause ?? error);
}

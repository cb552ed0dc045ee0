import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Codec } from './codec.ts';
import * as messages from './generated/messages.ts';

/**
 * Golden bytes: one line a message, every field set. What is on a disk or comes from a manager of
 * another release must mean the same for ever, so a line may be added or grow, never change.
 * `UPDATE=1` writes the file anew.
 */
const HERE = dirname(fileURLToPath(import.meta.url));
const FILE = join(HERE, HERE.includes('/dist/') ? '../../proto' : '.', 'golden.txt');

interface Field {
  readonly type: string;
  readonly id: number;
  readonly rule?: string;
  readonly keyType?: string;
}
type Descriptor = {
  readonly [name: string]: {
    readonly fields?: { readonly [name: string]: Field };
    readonly values?: { readonly [name: string]: number };
    readonly oneofs?: { readonly [name: string]: { readonly oneof: readonly string[] } };
  };
};
const TYPES = JSON.parse(
  readFileSync(join(HERE, 'generated', 'descriptor.json'), 'utf8'),
) as Descriptor;
const CODECS = messages as unknown as { readonly [name: string]: Codec<object> };

test('every message has the bytes that it had in the releases before', () => {
  const lines = Object.keys(TYPES)
    .filter((name) => TYPES[name]!.fields !== undefined)
    .sort()
    .map((name) => `${name} ${Buffer.from(CODECS[name]!.encode(sample(name))).toString('hex')}`);
  const text = `${lines.join('\n')}\n`;
  if (process.env['UPDATE'] === '1') writeFileSync(FILE, text);
  assert.equal(text, readFileSync(FILE, 'utf8'));
});

test('every message reads back what was written', () => {
  for (const name of Object.keys(TYPES).filter((n) => TYPES[n]!.fields !== undefined)) {
    const codec = CODECS[name]!;
    const value = sample(name);
    assert.deepEqual(codec.decode(codec.encode(value)), value, name);
  }
});

test('fields of a newer release survive reading, changing and writing', () => {
  const newer = Buffer.concat([
    messages.Task.encode(messages.Task.create({ id: 'a' })),
    Buffer.from([0xfa, 0x3f, 0x03, 0x61, 0x62, 0x63]), // field 1023, three bytes
  ]);
  const changed = messages.Task.with(messages.Task.decode(newer), { nodeId: 'n' });
  const bytes = Buffer.from(messages.Task.encode(changed));
  assert.ok(bytes.includes(Buffer.from([0xfa, 0x3f, 0x03, 0x61, 0x62, 0x63])));
});

test('64-bit numbers are numbers', () => {
  const decoded = messages.Task.decode(
    messages.Task.encode(messages.Task.create({ version: 2 ** 53 - 1 })),
  );
  assert.equal(decoded.version, Number.MAX_SAFE_INTEGER);
});

function sample(name: string, depth = 0): object {
  const type = TYPES[name]!;
  const later = new Set(
    Object.values(type.oneofs ?? {}).flatMap(({ oneof }) => oneof.slice(0, -1)),
  );
  const init: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(type.fields ?? {})) {
    if (later.has(key) || depth > 4) continue;
    const value = sampleOf(field, key, depth);
    if (field.keyType !== undefined) init[key] = { k: value };
    else init[key] = field.rule === 'repeated' ? [value] : value;
  }
  return CODECS[name]!.create(init as never);
}

function sampleOf(field: Field, key: string, depth: number): unknown {
  const type = TYPES[field.type];
  if (type?.values !== undefined) return Object.values(type.values).at(-1);
  if (type !== undefined) return sample(field.type, depth + 1);
  if (field.type === 'string') return key;
  if (field.type === 'bytes') return Buffer.from(key);
  if (field.type === 'bool') return true;
  if (field.type === 'double') return 0.5;
  return field.id + 300;
}

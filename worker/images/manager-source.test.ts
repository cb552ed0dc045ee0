import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlobData, type FetchBlobRequest } from '../../proto/index.ts';
import { SystemClock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import { SeededRandom } from '../../shared/random.ts';
import type { Client } from '../../shared/rpc/rpc.ts';
import { ManagerSource } from './manager-source.ts';

const never = new AbortController().signal;
const blob = { mediaType: '', digest: `sha256:${'a'.repeat(64)}`, size: 6 };
type Give = (request: FetchBlobRequest) => string;

/** Managers by address, each with what it gives or throws. */
function sourceOf(managers: { readonly [address: string]: Give }) {
  const asked: string[] = [];
  const dial = (address: string): Client =>
    ({
      async *serverStream(_method: unknown, request: FetchBlobRequest) {
        asked.push(address);
        yield BlobData.create({ data: Buffer.from(managers[address]!(request)) });
      },
      close: () => undefined,
    }) as unknown as Client;
  const clock = new SystemClock();
  const random = new SeededRandom(1);
  const addresses = Object.keys(managers);
  return { asked, source: new ManagerSource({ clock, random, managers: () => addresses, dial }) };
}
function fails(code: 'NOT_FOUND' | 'UNREACHABLE'): Give {
  return () => {
    throw new SwarmError(code, `it says ${code}`);
  };
}

test('a blob comes from a manager that has it, from where it broke off', async () => {
  const give: Give = ({ offset }) => 'abcdef'.slice(offset);
  const { source } = sourceOf({ a: fails('NOT_FOUND'), b: give, c: fails('UNREACHABLE') });
  const { offset, bytes } = await source.blob(blob, 2, never);
  const parts: Uint8Array[] = [];
  for await (const part of bytes) parts.push(part);
  assert.equal(`${offset} ${Buffer.concat(parts)}`, '2 cdef');
});

test('what no manager has is not there, and what none can give now is tried again', async () => {
  const none = sourceOf({ a: fails('NOT_FOUND'), b: fails('NOT_FOUND') });
  const gone = { code: 'IMAGE_NOT_FOUND', temporary: false };
  await assert.rejects(none.source.document(blob, never), gone);
  assert.deepEqual(none.asked.sort(), ['a', 'b']);
  const { source } = sourceOf({ a: fails('UNREACHABLE') });
  await assert.rejects(source.blob(blob, 0, never), { code: 'PULL_FAILED', temporary: true });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SeededRandom } from '../../../shared/random.ts';
import { answerCode, answerWith, nameBytes } from './answer.ts';
import { CODE, endOfQuestion, readQuery, TYPE } from './message.ts';
import { queryFor } from './names.fixture.ts';

test('a query is read: name in lower case, type, what the client takes', () => {
  const reading = readQuery(queryFor('WeB.Front', TYPE.AAAA));
  assert.deepEqual(reading, {
    ok: true,
    query: { name: 'web.front', type: TYPE.AAAA, end: 27, udpBytes: 512, hasEdns: false },
  });
});

for (const [given, taken] of [
  [100, 512],
  [512, 512],
  [1_000, 1_000],
  [4_096, 1_232],
] as const)
  test(`a client that takes ${given} bytes is sent ${taken} at most`, () => {
    const reading = readQuery(queryFor('web', TYPE.A, { edns: given }));
    assert.ok(reading.ok);
    assert.equal(reading.query.udpBytes, taken);
  });

test('a dot inside a label, and bytes that are no letters, cannot pass for something else', () => {
  const packet = queryFor('a.b', TYPE.A);
  // One label of three bytes instead of two of one.
  packet.set([3, 0x61, 0x2e, 0x62], 12);
  const reading = readQuery(packet);
  assert.ok(reading.ok);
  assert.equal(reading.query.name, 'a\\046b');
});

test('what is no query is refused with the right code, or not answered at all', () => {
  const spoiled = (at: number, value: number, type: number = TYPE.A): Buffer => {
    const packet = queryFor('web', type);
    packet[at] = value;
    return packet;
  };
  const codes: readonly (readonly [string, Buffer, number | undefined])[] = [
    ['an answer', spoiled(2, 0x80), undefined],
    ['too short', Buffer.alloc(11), undefined],
    ['another operation', spoiled(2, 0x28), CODE.NOTIMP],
    ['no question', spoiled(5, 0), CODE.FORMERR],
    ['two questions', spoiled(5, 2), CODE.FORMERR],
    ['a pointer in the question', spoiled(12, 0xc0), CODE.FORMERR],
    ['another class', spoiled(20, 3), CODE.REFUSED],
    ['a zone transfer', queryFor('web', TYPE.AXFR), CODE.REFUSED],
    ['a later EDNS', queryFor('web', TYPE.A, { edns: 512, version: 1 }), CODE.BADVERS],
    ['a record that ends nowhere', spoiled(11, 1), CODE.FORMERR],
  ];
  for (const [what, packet, code] of codes) {
    const reading = readQuery(packet);
    assert.ok(!reading.ok, what);
    assert.equal(reading.code, code, what);
  }
});

test('random packets are read or refused, never more', () => {
  const random = new SeededRandom(20_261_122);
  for (let n = 0; n < 50_000; n++) {
    const packet = Buffer.from(random.bytes(random.below(80)));
    // Most of the time a header that gets further.
    if (packet.length > 12 && n % 4 > 0) packet.set([1, 0, 0, 1, 0, 0, 0, 0, 0, n % 3], 2);
    const reading = readQuery(packet);
    const end = reading.ok ? reading.query.end : reading.end;
    assert.ok(end <= packet.length || packet.length < 12);
    if (!reading.ok && reading.code !== undefined)
      assert.equal(
        answerCode(packet, reading.code, end, false).readUInt16BE(0),
        packet.readUInt16BE(0),
      );
  }
});

test('a query that is changed in any one byte is read or refused', () => {
  const packet = queryFor('tasks.web.front', TYPE.A, { edns: 1_232 });
  for (let at = 0; at < packet.length; at++)
    for (const value of [0, 1, 63, 64, 127, 191, 192, 255]) {
      const changed = Buffer.from(packet);
      changed[at] = value;
      readQuery(changed);
      readQuery(changed.subarray(0, at));
      endOfQuestion(changed);
    }
});

test('every name of the given form comes back from its bytes', () => {
  const label = fc.stringMatching(/^[a-z0-9_-]{1,20}$/);
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 6 }), (labels) => {
      const reading = readQuery(queryFor(labels.join('.'), TYPE.A));
      assert.ok(reading.ok);
      assert.equal(reading.query.name, labels.join('.'));
    }),
    { seed: 7 },
  );
});

test('an answer is never over its limit, says when it was cut, and starts at its turn', () => {
  const values = Array.from({ length: 100 }, (_, at) => Buffer.of(10, 0, 0, at));
  const packet = queryFor('web', TYPE.A, { edns: 512 });
  const reading = readQuery(packet);
  assert.ok(reading.ok);
  for (const [turn, bytesMax] of [
    [0, 512],
    [99, 1_232],
    [42, 65_535],
  ] as const) {
    const answer = answerWith(packet, reading.query, [{ type: TYPE.A, values }], turn, bytesMax);
    assert.ok(answer.length <= bytesMax);
    assert.equal((answer[2]! & 2) !== 0, bytesMax < 1_600);
    assert.equal(answer[reading.query.end + 15], turn);
    assert.equal(answer.readUInt16BE(10), 1, 'EDNS is answered with EDNS');
  }
});

test('letters of a question stay as they were asked', () => {
  const packet = queryFor('wEb', TYPE.A);
  const reading = readQuery(packet);
  assert.ok(reading.ok);
  const answer = answerWith(packet, reading.query, [], 0, 512);
  assert.equal(answer.toString('latin1', 13, 16), 'wEb');
});

test('names are written label by label', () => {
  assert.deepEqual([...nameBytes('ab.c')], [2, 0x61, 0x62, 1, 0x63, 0]);
});

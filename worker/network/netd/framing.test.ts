import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameReader, frame } from './framing.ts';

test('messages come out whole however the stream was cut', () => {
  const texts = ['', 'a', 'bb'.repeat(300)];
  const stream = Buffer.concat(texts.map((text) => frame(Buffer.from(text))));
  for (const step of [1, 3, 5, stream.length]) {
    const seen: string[] = [];
    const reader = new FrameReader((message) => seen.push(Buffer.from(message).toString()));
    for (let at = 0; at < stream.length; at += step) reader.push(stream.subarray(at, at + step));
    assert.deepEqual(seen, texts);
  }
});

test('a message over the limit is refused before it was read', () => {
  const reader = new FrameReader(() => assert.fail());
  assert.throws(() => reader.push(Buffer.from([0xff, 0xff, 0xff, 0xff])), RangeError);
});

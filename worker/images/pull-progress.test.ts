import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageProgress } from '../../shared/distribution/source.ts';
import { PullProgress, PullSummary } from './pull-progress.ts';

const layer = (digest: string, doneBytes: number, what: ImageProgress['what']): ImageProgress => ({
  digest,
  doneBytes,
  totalBytes: 2_000_000,
  what,
});

test('a pull says how many layers and bytes are here, then how many are unpacked', () => {
  const summary = new PullSummary(`app:1@sha256:${'a'.repeat(64)}`);
  for (const digest of ['a', 'b', 'c']) summary.add(layer(digest, 0, 'waiting'));
  summary.add(layer('b', 2_000_000, 'fetched'));
  summary.add(layer('a', 500_000, 'fetching'));
  assert.equal(summary.state.message, 'pulling app:1: 1 of 3 layers, 2.5 of 6.0 MB');
  assert.deepEqual(
    summary.state.layers.map(({ digest, what }) => `${digest} ${what}`),
    ['a fetching', 'b fetched', 'c waiting'],
  );
  for (const digest of ['a', 'c']) summary.add(layer(digest, 2_000_000, 'fetched'));
  summary.add(layer('a', 2_000_000, 'done'));
  assert.equal(summary.state.message, 'unpacking app:1: 1 of 3 layers');
});

test('who joins a pull hears what there was before, and nothing after it left', () => {
  const progress = new PullProgress();
  progress.tell(layer('a', 0, 'waiting'));
  progress.tell(layer('a', 10, 'fetching'));
  const heard: string[] = [];
  const listen = ({ digest, what }: ImageProgress) => void heard.push(`${digest} ${what}`);
  progress.listen(listen);
  progress.tell(layer('b', 0, 'waiting'));
  progress.unlisten(listen);
  progress.tell(layer('b', 1, 'fetching'));
  assert.deepEqual(heard, ['a fetching', 'b waiting']);
});

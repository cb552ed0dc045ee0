import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { shortMount } from './short-mount.ts';

const PLACE = '/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots';

describe('a mount of layers', () => {
  it('names them as seen from where they all are', () => {
    const lower = `lowerdir=${PLACE}/2/fs:${PLACE}/1/fs`;
    const options = ['index=off', `workdir=${PLACE}/3/work`, `upperdir=${PLACE}/3/fs`, lower];
    assert.deepEqual(shortMount({ type: 'overlay', source: 'overlay', options }), {
      type: 'overlay',
      source: 'overlay',
      options: ['index=off', 'workdir=3/work', 'upperdir=3/fs', 'lowerdir=2/fs:1/fs'],
      from: PLACE,
    });
  });
  it('of as many as an image may have stays below a page of options', () => {
    const lower = Array.from({ length: 500 }, (_, at) => `${PLACE}/${at + 400}/fs`).join(':');
    const { options } = shortMount({
      type: 'overlay',
      source: 'overlay',
      options: [`lowerdir=${lower}`],
    });
    assert.ok(options.join(',').length < 4_096, `${options.join(',').length}`);
  });
  it('leaves paths elsewhere, and mounts of one layer, as they are', () => {
    const mixed = { type: 'overlay', source: 'overlay', options: ['lowerdir=/a/1/fs:/b/2/fs'] };
    assert.deepEqual(shortMount(mixed).options, ['lowerdir=1/fs:/b/2/fs']);
    const bind = { type: 'bind', source: `${PLACE}/1/fs`, options: ['ro', 'rbind'] };
    assert.deepEqual(shortMount(bind), { ...bind, from: '/' });
  });
});

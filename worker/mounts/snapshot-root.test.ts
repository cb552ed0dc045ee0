import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { MountPoint } from '../../proto/containerd.ts';
import { SnapshotRoot } from './snapshot-root.ts';

describe('the root of a snapshot', () => {
  let directory: string;
  const made: string[] = [];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'swarm-root-'));
    made.push(directory);
    for (const layer of ['upper', 'middle', 'lower']) mkdirSync(join(directory, layer));
  });
  after(() => {
    for (const path of made) rmSync(path, { recursive: true, force: true });
  });

  function file(layer: string, path: string, text: string): void {
    mkdirSync(dirname(join(directory, layer, path)), { recursive: true });
    writeFileSync(join(directory, layer, path), text);
  }
  function root(): SnapshotRoot {
    const options = [
      'index=off',
      `workdir=${directory}/work`,
      `upperdir=${directory}/upper`,
      `lowerdir=${directory}/middle:${directory}/lower`,
    ];
    return new SnapshotRoot([MountPoint.create({ type: 'overlay', options })]);
  }

  it('gives a file of the topmost layer that has it', () => {
    file('lower', 'etc/passwd', 'old');
    file('middle', 'etc/passwd', 'new');
    assert.equal(root().readText('/etc/passwd'), 'new');
    assert.equal(root().readText('/etc/none'), undefined);
    assert.equal(root().readText('/etc'), undefined);
  });
  it('follows links inside itself alone', () => {
    file('lower', 'real/passwd', 'inside');
    mkdirSync(join(directory, 'middle/etc'));
    symlinkSync('/real/passwd', join(directory, 'middle/etc/passwd'));
    symlinkSync('../../../../../../etc/hostname', join(directory, 'middle/etc/out'));
    symlinkSync(`${directory}/lower/real/passwd`, join(directory, 'middle/etc/host'));
    symlinkSync('loop', join(directory, 'middle/etc/loop'));
    assert.equal(root().readText('/etc/passwd'), 'inside');
    for (const name of ['out', 'host', 'loop'])
      assert.equal(root().readText(`/etc/${name}`), undefined, name);
  });
  it('follows a link in the way to a file', () => {
    file('lower', 'usr/etc/group', 'group');
    symlinkSync('usr/etc', join(directory, 'upper/etc'));
    assert.equal(root().readText('/etc/group'), 'group');
    assert.equal(root().directory('/etc'), '/usr/etc');
  });
  it('has not what a higher layer deleted', {
    skip: process.getuid?.() !== 0 && 'not root',
  }, () => {
    file('lower', 'etc/passwd', 'old');
    mkdirSync(join(directory, 'middle/etc'));
    execFileSync('mknod', [join(directory, 'middle/etc/passwd'), 'c', '0', '0']);
    assert.equal(root().readText('/etc/passwd'), undefined);
  });
});

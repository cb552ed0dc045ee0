import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Io } from '../../io.ts';
import { otherMounts } from './same-mounts.ts';

const SOCKET = '/run/containerd/containerd.sock';
const IMAGES = '/var/lib/containerd/overlay';

function machine(mounts: string, comm = 'containerd'): Io {
  const links: { readonly [path: string]: string } = {
    '/proc/self/ns/mnt': 'mnt:[1]',
    '/proc/7/ns/mnt': mounts,
    '/proc/7/fd/3': 'socket:[99]',
    '/proc/8/fd/3': 'socket:[98]',
  };
  const files: { readonly [path: string]: string } = {
    '/proc/net/unix':
      'Num RefCount Protocol Flags Type St Inode Path\n' +
      `0: 00000003 00000000 00000000 0001 03 98 ${SOCKET}\n` +
      `0: 00000002 00000000 00010000 0001 01 99 ${SOCKET}\n`,
    '/proc/7/comm': `${comm}\n`,
  };
  const io: Partial<Io> = {
    stat: (path) =>
      path === IMAGES ? { size: 0, mtimeMs: 0, uid: 0, mode: 0, directory: true } : undefined,
    read: (path) => (path in files ? Buffer.from(files[path]!) : undefined),
    realPath: (path) => path,
    readLink: (path) => (path in links ? { target: links[path]!, mtimeMs: 0 } : undefined),
    list: (path) => (path === '/proc' ? ['self', '7', '8'] : path.endsWith('/fd') ? ['3'] : []),
  };
  return io as Io;
}

describe('swarmd and containerd', () => {
  it('are taken where they see the same mounts', () => {
    assert.equal(otherMounts(machine('mnt:[1]'), SOCKET, IMAGES), '');
    assert.equal(otherMounts(machine('mnt:[1]', 'k3s-server'), SOCKET, IMAGES), '');
  });
  it('are refused where they do not, with the reason', () => {
    for (const comm of ['containerd', 'k3s-server'])
      assert.match(
        otherMounts(machine('mnt:[2]', comm), SOCKET, IMAGES),
        /containerd \(pid 7\) sees other mounts than swarmd: .* one mount namespace/,
      );
  });
  it('are refused where the files of one are not those of the other', () => {
    const text = otherMounts(machine('mnt:[1]'), SOCKET, '/elsewhere');
    assert.match(text, /containerd's files \(\/elsewhere\) are not here/);
  });
  it('are taken where nothing can be seen of containerd', () => {
    assert.equal(otherMounts(machine('mnt:[2]'), '/another.sock', IMAGES), '');
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Io } from '../../io.ts';
import { CgroupHost } from './cgroup-host.ts';

/** A machine that is nothing but these files; directories are what lies before a slash. */
function machine(files: { readonly [path: string]: string }): Io {
  const paths = Object.keys(files);
  const io: Partial<Io> = {
    read: (path) => (path in files ? Buffer.from(files[path]!) : undefined),
    tap: (path) => {
      let text = files[path] ?? '';
      return {
        read: () => {
          const now = text;
          text = '';
          return Buffer.from(now);
        },
      };
    },
    stat: (path) => {
      const there = paths.some((each) => each === path || each.startsWith(`${path}/`));
      if (!there) return undefined;
      return { size: 0, mtimeMs: 0, directory: !(path in files), uid: 0, mode: 0 };
    },
    list: (path) => [
      ...new Set(
        paths
          .filter((each) => each.startsWith(`${path}/`))
          .map((each) => each.slice(path.length + 1).split('/')[0]!),
      ),
    ],
  };
  return io as Io;
}
const mount = (path: string, type: string, options: string): string =>
  `30 20 0:30 / ${path} rw - ${type} ${type} ${options}\n`;
const UNIFIED = { '/proc/self/mountinfo': mount('/sys/fs/cgroup', 'cgroup2', 'rw') };
const V1 =
  mount('/sys/fs/cgroup/memory', 'cgroup', 'rw,memory') +
  mount('/sys/fs/cgroup/pids', 'cgroup', 'rw,pids') +
  mount('/sys/fs/cgroup/blkio', 'cgroup', 'rw,blkio');
const HYBRID = V1 + mount('/sys/fs/cgroup/unified', 'cgroup2', 'rw');

describe('the control groups of a machine', () => {
  it('are told apart by what is mounted', () => {
    const names = [UNIFIED['/proc/self/mountinfo'], V1, HYBRID].map((text) => {
      const host = new CgroupHost(machine({ '/proc/self/mountinfo': text }), 'abcdefgh');
      return [host.name, host.unified, host.systemd, host.pathFor('t1')];
    });
    assert.deepEqual(names, [
      ['v2', true, false, '/swarm/abcdefgh/t1'],
      ['v1', false, false, '/swarm/abcdefgh/t1'],
      ['hybrid', false, false, '/swarm/abcdefgh/t1'],
    ]);
  });
  it("are systemd's where it runs on v2, with a slice for the node and a scope for each task", () => {
    const group = '/sys/fs/cgroup/swarm.slice/swarm-abcdefgh.slice/swarm-t1.scope';
    const host = new CgroupHost(
      machine({
        ...UNIFIED,
        '/run/systemd/system/x': '',
        [`${group}/memory.events`]: 'low 0\noom 1\noom_kill 1\n',
        [`${group}/cgroup.procs`]: '',
      }),
      'abcdefgh',
    );
    assert.equal(host.systemd, true);
    assert.equal(host.pathFor('t1'), 'swarm-abcdefgh.slice:swarm:t1');
    assert.deepEqual([host.oomKilled('t1'), host.oomKilled('t2')], [true, false]);
    const legacy = machine({ '/proc/self/mountinfo': V1, '/run/systemd/system/x': '' });
    assert.equal(new CgroupHost(legacy, 'abcdefgh').systemd, false);
  });
  it('of systemd are gone with their last process, and the kernel remembers why it ended', () => {
    const log =
      '3,907,91,-;busybox invoked oom-killer: gfp_mask=0xcc0\n' +
      '6,934,91,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,' +
      'oom_memcg=/swarm.slice/swarm-abcdefgh.slice/swarm-t1.scope,' +
      'task_memcg=/swarm.slice/swarm-abcdefgh.slice/swarm-t1.scope,task=dd,pid=1234,uid=0\n';
    const files = { ...UNIFIED, '/run/systemd/system/x': '', '/dev/kmsg': log };
    const host = new CgroupHost(machine(files), 'abcdefgh');
    assert.deepEqual(
      [host.oomKilled('t1'), host.oomKilled('t'), host.oomKilled('t2')],
      [true, false, false],
    );
  });
  it('say what the kernel can set', () => {
    const knobsOf = (files: { readonly [path: string]: string }) =>
      new CgroupHost(machine(files), 'abcdefgh').knobs;
    const none = { swapLimit: false, swappiness: false, blkioWeight: false };
    assert.deepEqual(knobsOf({ '/proc/self/mountinfo': V1 }), none);
    const v1 = {
      '/proc/self/mountinfo': V1,
      '/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes': '',
      '/sys/fs/cgroup/memory/memory.swappiness': '',
      '/sys/fs/cgroup/blkio/blkio.bfq.io_service_bytes': '',
    };
    assert.deepEqual(knobsOf(v1), { swapLimit: true, swappiness: true, blkioWeight: true });
    assert.deepEqual(knobsOf(UNIFIED), { ...none, swapLimit: true });
    const weights = { ...UNIFIED, '/sys/fs/cgroup/system.slice/io.weight': '' };
    assert.deepEqual(knobsOf(weights), { ...none, swapLimit: true, blkioWeight: true });
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Resources } from '../../../proto/index.ts';
import { SystemClock } from '../../../shared/clock.ts';
import { SystemIo } from '../../system-io.ts';
import { Cgroups } from './cgroups.ts';

const LIMITS = Resources.create({ memoryBytes: 64 << 20 });

/** One hierarchy of cgroup v1, of which nothing but directories is kept. */
class MemoryHierarchy extends SystemIo {
  readonly groups = new Set<string>();
  busy = '';
  override read(path: string): Buffer | undefined {
    if (path === '/proc/self/mountinfo') {
      return Buffer.from('30 24 0:26 / /cg rw - cgroup cgroup rw,memory\n');
    }
    return path === '/proc/self/cgroup' ? Buffer.from('4:memory:/\n') : undefined;
  }
  override stat(): ReturnType<SystemIo['stat']> {
    return super.stat('/');
  }
  override write(): void {}
  override mkdir(path: string): void {
    this.groups.add(path);
  }
  override rmdir(path: string): void {
    const isBusy = path === this.busy || [...this.groups].some((g) => g.startsWith(`${path}/`));
    if (isBusy) throw Object.assign(new Error('EBUSY'), { code: 'EBUSY' });
    this.groups.delete(path);
  }
}

test('a group whose last process is just going is taken away later, and then the one above it', () => {
  const io = new MemoryHierarchy(new SystemClock());
  const cgroups = new Cgroups(io, 0, '/state');
  assert.equal(cgroups.open(), 'partial');
  cgroups.make('t1', LIMITS);
  const [group = ''] = cgroups.groupsOf('t1', LIMITS);
  io.busy = group;
  cgroups.remove([group]);
  assert.ok(io.groups.has(group));
  io.busy = '';
  cgroups.close();
  assert.deepEqual([...io.groups], []);
});

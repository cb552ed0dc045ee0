import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { Resources } from '../../../proto/index.ts';
import { SystemClock } from '../../../shared/clock.ts';
import { SystemIo } from '../../system-io.ts';
import { Cgroups } from './cgroups.ts';

const LIMITS = Resources.create({ memoryBytes: 64 << 20 });

const PROC = {
  v1: {
    '/proc/self/mountinfo': '30 24 0:26 / /cg rw - cgroup cgroup rw,memory\n',
    '/proc/self/cgroup': '4:memory:/\n',
  },
  v2: {
    '/proc/self/mountinfo': '30 24 0:26 / /cg rw - cgroup2 cgroup2 rw\n',
    '/proc/self/cgroup': '0::/\n',
  },
};

/** A hierarchy of which nothing but directories is kept. */
class MemoryHierarchy extends SystemIo {
  readonly #proc: { readonly [path: string]: string };
  readonly groups = new Set<string>();
  busy = '';
  refuses = false;
  constructor(version: keyof typeof PROC) {
    super(new SystemClock());
    this.#proc = PROC[version];
  }
  override read(path: string): Buffer | undefined {
    const text = this.#proc[path];
    return text === undefined ? undefined : Buffer.from(text);
  }
  override stat(): ReturnType<SystemIo['stat']> {
    return super.stat('/');
  }
  override write(path: string): void {
    if (this.refuses) throw Object.assign(new Error(`EACCES ${path}`), { code: 'EACCES' });
  }
  override mkdir(path: string): void {
    for (let at = path; at !== '/cg'; at = dirname(at)) this.groups.add(at);
  }
  override rmdir(path: string): void {
    const isBusy = path === this.busy || [...this.groups].some((g) => g.startsWith(`${path}/`));
    if (isBusy) throw Object.assign(new Error('EBUSY'), { code: 'EBUSY' });
    this.groups.delete(path);
  }
}

test('a group whose last process is just going is taken away later, and then the one above it', () => {
  const io = new MemoryHierarchy('v1');
  const cgroups = new Cgroups(io, 0, '/state');
  assert.equal(cgroups.open(), 'partial');
  cgroups.make('t1', LIMITS);
  const [group = ''] = cgroups.groupsOf('t1', LIMITS);
  io.busy = group;
  cgroups.remove('t1');
  assert.ok(io.groups.has(group));
  io.busy = '';
  cgroups.close();
  assert.deepEqual([...io.groups], []);
});

for (const version of ['v1', 'v2'] as const) {
  test(`where no limit can be set, no group is left of the attempt: ${version}`, () => {
    const io = new MemoryHierarchy(version);
    io.refuses = true;
    assert.equal(new Cgroups(io, 0, '/state').open(), 'none');
    assert.deepEqual([...io.groups], []);
  });
}

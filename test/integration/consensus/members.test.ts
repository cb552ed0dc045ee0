import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { dial } from '../../../shared/rpc/client.ts';
import { type ManagerHost, ManagerHosts, missingForHosts } from '../../support/consensus/hosts.ts';
import { missingForDisks } from '../../support/consensus/own-disk.ts';
import { outcomeOf, serviceRegister } from '../../support/consensus/registers.ts';
import { until } from '../../support/swarm.ts';

const missing = missingForHosts();
const skip = missing === '' ? false : missing;
const noDisks = missing === '' ? await missingForDisks() : missing;

interface StatusRow {
  readonly Name: string;
  readonly RaftID: string;
  readonly Role: string;
  readonly State: string;
  readonly Address: string;
  readonly Note: string;
}

/** Three managers on hosts and disks of their own, and what becomes of one that is hurt. */
describe('a member of three managers', { skip }, () => {
  let cluster: ManagerHosts;

  before(async () => {
    cluster = await ManagerHosts.up(3, { ownDisks: noDisks === '' });
  });
  after(() => cluster?.down());

  const status = async (via: ManagerHost): Promise<StatusRow[]> => {
    const format = '{{json .}}';
    const text = await cluster.must(via, `cluster status --format '${format}'`);
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as StatusRow);
  };
  const rowOf = async (via: ManagerHost, host: ManagerHost): Promise<StatusRow> => {
    const rows = (await status(via)).filter((row) => row.Name.replace(' *', '') === host.name);
    assert.equal(rows.length, 1, JSON.stringify(rows));
    return rows[0]!;
  };
  const leaderAndFollower = async (): Promise<[ManagerHost, ManagerHost]> => {
    const leader = await cluster.leader();
    return [leader, cluster.others(leader)[0]!];
  };

  test('whose state is damaged says so everywhere and heals by itself under a new raft id', async () => {
    const [leader, hurt] = await leaderAndFollower();
    const before = await rowOf(leader, hurt);
    await cluster.kill(hurt);
    flipBit(join(hurt.stateDir, 'raft', 'db'));
    // It reaches the others, but nobody reaches it: so it can say what it is and not heal yet.
    await hurt.machine.must('nft add rule inet cut in tcp dport 2377 drop');
    await cluster.start(hurt);
    const said = await until('the others to know of the damage', async () => {
      const ran = await cluster.swarm(leader, 'node ls');
      return ran.stdout.includes('Damaged') ? ran : undefined;
    });
    assert.match(said.stdout, new RegExp(`${hurt.name} .*Damaged`));
    assert.match(said.stderr, new RegExp(`the state of ${hurt.name} is damaged \\(.+\\)`));
    assert.match((await rowOf(leader, hurt)).Note, /its state is damaged/);
    const own = await cluster.swarm(hurt, 'node ls');
    assert.equal(own.code, 5);
    assert.match(own.stderr, /the state of this manager is damaged \(.+\); it joins/);
    assert.match(own.stderr, /heals by itself/);
    assert.match(cluster.log(hurt), /the state of this manager is damaged/);
    await hurt.machine.must('nft flush chain inet cut in');
    await cluster.whole();
    const after = await rowOf(leader, hurt);
    assert.notEqual(after.RaftID, before.RaftID);
    assert.deepEqual([after.Role, after.Note], ['voter', '']);
    const events = await cluster.must(hurt, 'events --no-follow --filter kind=member');
    assert.match(events, new RegExp(`damaged ${hurt.name} .*\\n.*voter ${hurt.name}`));
  });

  test('that comes back with another address of its machine stays what it is', async () => {
    const [leader, moved] = await leaderAndFollower();
    const before = await rowOf(leader, moved);
    await cluster.stop(moved);
    await renumber(moved, '10.0.9.77');
    await cluster.start(moved);
    await until('the others to know its address', async () => {
      const row = await rowOf(leader, moved);
      return row.Address === '10.0.9.77:2377' && row.State === 'reachable' ? true : undefined;
    });
    assert.equal((await rowOf(leader, moved)).RaftID, before.RaftID);
    await writeVia(moved, 'from-elsewhere');
  });

  test('that is given another address while it leads stays what it is, with the same daemon', async () => {
    const leader = await cluster.leader();
    const [via] = cluster.others(leader);
    const [before, pid] = [await rowOf(via!, leader), cluster.pid(leader)];
    await leader.machine.must('ip addr add 10.0.9.88/24 dev eth0');
    const said = await cluster.must(
      leader,
      `start --state-dir ${leader.stateDir} --advertise-addr 10.0.9.88`,
    );
    assert.match(said, /Its address is 10\.0\.9\.88:2377 now/);
    await until('the others to know its address', async () => {
      const row = await rowOf(via!, leader);
      return row.Address === '10.0.9.88:2377' && row.State === 'reachable' ? true : undefined;
    });
    assert.deepEqual(
      [(await rowOf(via!, leader)).RaftID, cluster.pid(leader)],
      [before.RaftID, pid],
    );
    await cluster.whole();
  });

  test('that all move at once find each other when one is told where another is', async () => {
    const [first, second, third] = cluster.hosts;
    const before = await rowOf(first!, second!);
    for (const host of cluster.hosts) await cluster.stop(host);
    for (const [at, host] of cluster.hosts.entries()) await renumber(host, `10.0.9.${101 + at}`);
    await Promise.all(
      cluster.hosts.map(async (host, at) => {
        await cluster.start(host);
        const found = host === first ? ' --managers 10.0.9.102,10.0.9.103' : '';
        const flags = `--state-dir ${host.stateDir} --advertise-addr 10.0.9.${101 + at}${found}`;
        await cluster.must(host, `start ${flags}`);
      }),
    );
    await until('all to be where they are', async () => {
      const rows = await Promise.all([first!, second!, third!].map((host) => rowOf(first!, host)));
      const isThere = rows.every(
        (row, at) => row.Address === `10.0.9.${101 + at}:2377` && row.State === 'reachable',
      );
      return isThere ? true : undefined;
    });
    assert.equal((await rowOf(first!, second!)).RaftID, before.RaftID);
    await cluster.whole();
    await writeVia(third!, 'from-all-over');
  });

  test('that was removed while it was away is told so, and the even number is warned of', async () => {
    const [leader, gone] = await leaderAndFollower();
    await cluster.kill(gone);
    const ran = await cluster.swarm(leader, `node demote ${gone.name}`);
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stderr, /2 managers survive no more losses than 1 would/);
    await cluster.start(gone);
    await until('it to be a worker', async () => {
      const info = await cluster.must(gone, "info --format '{{.State}}'");
      return info.trim() === 'worker' ? true : undefined;
    });
    await cluster.must(leader, `node promote ${gone.name}`);
    await cluster.whole();
  });

  test('that leads and whose disk hangs gives way, and nothing it was given is lost', {
    skip: noDisks === '' ? false : noDisks,
  }, async () => {
    const leader = await cluster.leader();
    await leader.disk!.freeze();
    const [via] = cluster.others(leader);
    const written = writeVia(leader, 'over-a-hanging-disk', []).catch(outcomeOf);
    try {
      await until('another to lead', async () =>
        (await cluster.leader([via!])) === leader ? undefined : true,
      );
      await writeVia(via!, 'while-it-hangs', cluster.others(leader));
    } finally {
      await leader.disk!.thaw();
    }
    assert.notEqual(await written, 'refused', 'what it has in its log may yet be done');
    // The same request once more: answered, and not refused as a name that is taken.
    await writeVia(via!, 'over-a-hanging-disk');
    await cluster.whole();
  });

  test('that leads with a nearly full disk is read-only before the disk is full', {
    skip: noDisks === '' ? false : noDisks,
  }, async () => {
    const leader = await cluster.leader();
    await leader.disk!.fill(8 << 20);
    const refused = await until('the leader to be read-only', async () => {
      const ran = await cluster.swarm(leader, 'node update --label-add n=1 m1');
      return ran.code === 0 ? undefined : ran;
    });
    assert.match(refused.stderr, /disk is nearly full/);
    assert.match(await cluster.must(leader, 'cluster status'), /disk is nearly full: no changes/);
    assert.match(await cluster.must(leader, 'service ls'), /while-it-hangs/);
    leader.disk!.empty();
    await until('writes to be taken again', async () => {
      const ran = await cluster.swarm(leader, 'node update --label-add n=2 m1');
      return ran.code === 0 ? true : undefined;
    });
  });

  /** Makes a service by one manager; `seenBy`: who shows it then. */
  async function writeVia(
    host: ManagerHost,
    name: string,
    seenBy: readonly ManagerHost[] = cluster.hosts,
  ): Promise<void> {
    const clients = [host, ...seenBy].map(({ socket }) => dial(socket));
    try {
      const [writer, ...readers] = clients;
      const register = await serviceRegister(writer!, name);
      for (const reader of readers) await register.read(reader);
    } finally {
      for (const client of clients) client.close();
    }
  }
});

/** In the middle of what was written last: a torn end would be no damage. */
function flipBit(directory: string): void {
  const logs = readdirSync(directory).filter((name) => name.endsWith('.log'));
  const path = join(directory, logs.sort().at(-1)!);
  const bytes = readFileSync(path);
  assert.ok(statSync(path).size > 1_000);
  bytes[bytes.length >> 1]! ^= 4;
  writeFileSync(path, bytes);
}

async function renumber({ machine }: ManagerHost, next: string): Promise<void> {
  await machine.must(
    `ip addr flush dev eth0 && ip addr add ${next}/24 dev eth0 && ip route replace default via 10.0.9.254`,
  );
}

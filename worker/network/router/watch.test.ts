import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { ManualClock } from '../../../shared/clock.ts';
import { nodeNames } from './names.ts';
import { type Watching, watchKernel } from './watch.ts';

class Told extends EventEmitter {
  readonly words: string;
  readonly stdout = new EventEmitter() as EventEmitter & Watching['stdout'];
  killed = false;

  constructor(words: readonly string[]) {
    super();
    this.words = words.join(' ');
  }
  kill(): boolean {
    this.killed = true;
    return true;
  }
}

function watch() {
  const clock = new ManualClock();
  const programs: Told[] = [];
  let changes = 0;
  const watcher = watchKernel(
    clock,
    nodeNames('node1000'),
    () => changes++,
    (words) => {
      const program = new Told(words);
      programs.push(program);
      return program as unknown as Watching;
    },
  );
  return { clock, programs, watcher, changes: () => changes };
}

test('the tables and links of the host and of the router are watched', () => {
  const { programs } = watch();
  const inRouter = 'nsenter --net=/run/netns/swr-node1000';
  assert.deepEqual(
    programs.map(({ words }) => words),
    [
      'nft monitor ruleset',
      'ip monitor link',
      'ip monitor address route netconf',
      `${inRouter} nft monitor ruleset`,
      `${inRouter} ip monitor link address route rule nexthop`,
      `${inRouter} ip monitor neigh`,
    ],
  );
});

test('of routes, addresses and settings of the host those count that the router needs', () => {
  const { clock, programs, changes } = watch();
  for (const line of [
    '10.8.0.0/24 dev tun0 proto kernel scope link src 10.8.0.2',
    '2: eth0    inet 192.168.9.7/24 scope global eth0',
    'inet all forwarding on',
  ]) {
    programs[2]!.stdout.emit('data', `${line}\n`);
    clock.advance(50);
    assert.equal(changes(), 0, line);
  }
  for (const [at, line] of [
    'Deleted 240.0.0.0/8 via 169.254.112.2 dev swunode1000',
    'Deleted 7: swunode1000    inet 169.254.112.1/30 scope global swunode1000',
    'inet all forwarding off rp_filter off',
    'inet6 all forwarding off',
  ].entries()) {
    programs[2]!.stdout.emit('data', `${line}\n`);
    clock.advance(50);
    assert.equal(changes(), at + 1, line);
  }
});

test('of links of the host those count that are ours', () => {
  const { clock, programs, changes } = watch();
  for (const [line, count] of [
    ['31: veth1f2e@if30: <BROADCAST,MULTICAST> mtu 1500 master docker0 state DOWN', 0],
    ['Deleted 30: veth1f2e@docker0: <BROADCAST,MULTICAST> mtu 1500', 0],
    ['7: swunode1000@if2: <BROADCAST,MULTICAST> mtu 1500 state DOWN', 1],
    ['Deleted 9: swgnode1000: <POINTOPOINT,NOARP> mtu 1420', 2],
  ] as const) {
    programs[1]!.stdout.emit('data', `${line}\n`);
    clock.advance(50);
    assert.equal(changes(), count, line);
  }
});

test('of neighbours those of the devices between nodes count, and no containers', () => {
  const { clock, programs, changes } = watch();
  programs[5]!.stdout.emit('data', '10.0.1.11 dev swe1 lladdr 02:42:00:00:00:01 STALE\n');
  clock.advance(50);
  assert.equal(changes(), 0);
  programs[5]!.stdout.emit('data', 'Deleted 198.19.0.1 dev swing FAILED\n');
  clock.advance(50);
  assert.equal(changes(), 1);
});

test('what changes within a moment is told once', () => {
  const { clock, programs, changes } = watch();
  programs[0]!.stdout.emit('data', 'a rule');
  programs[3]!.stdout.emit('data', 'a route');
  clock.advance(49);
  assert.equal(changes(), 0);
  clock.advance(1);
  assert.equal(changes(), 1);
  programs[3]!.stdout.emit('data', 'another');
  clock.advance(50);
  assert.equal(changes(), 2);
});

test('a program that ends counts as a change, and so does its next start', () => {
  const { clock, programs, changes } = watch();
  programs[1]!.emit('error', new Error('no such program'));
  programs[1]!.emit('exit', 1);
  clock.advance(50);
  assert.equal(changes(), 1);
  assert.equal(programs.length, 6);
  clock.advance(5_000);
  assert.equal(programs.length, 7);
  assert.equal(programs[6]!.words, programs[1]!.words);
  clock.advance(50);
  assert.equal(changes(), 2, 'what changed while nobody watched');
});

test('closed, every program is ended and nothing is told any more', () => {
  const { clock, programs, watcher, changes } = watch();
  programs[0]!.stdout.emit('data', 'a rule');
  programs[1]!.emit('exit', 0);
  watcher.close();
  programs[0]!.emit('exit', 0);
  clock.advance(60_000);
  assert.equal(changes(), 0);
  assert.equal(programs.length, 6);
  assert.ok(programs.every(({ killed }) => killed));
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Lan, Machine } from '../../support/machine.ts';
import { ROOT, run, tempDir } from '../../support/swarm.ts';

/** The README's "A cluster of three machines", typed on three machines. */
const isRoot = process.getuid?.() === 0;
const skip = isRoot || process.env['CI'] === 'true' ? false : 'three machines need root';

describe('the walk-through of the README', { skip }, () => {
  const temporary = tempDir();
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  let lan: Lan;
  let machines: Machine[];

  before(async () => {
    const made = await run('npm', ['run', 'package', '--', temporary.path]);
    assert.equal(made.code, 0, made.stdout + made.stderr);
    lan = await Lan.make();
    machines = [];
    for (const n of [1, 2, 3])
      machines.push(await Machine.make({ bridge: lan, address: `10.0.0.${n}` }));
  });
  after(async () => {
    for (const machine of machines ?? []) {
      // Its daemon may be the one that was killed: only one that runs can take its tasks and ports down.
      await machine.sh('swarm start; swarm leave --force; swarm stop');
      await machine.end();
    }
    await lan?.end();
    temporary.remove();
  });

  /** A line of the README without `sudo`: these machines have only root. */
  function line(start: string): string {
    const found = readme.split('\n').find((text) => text.startsWith(start));
    assert.ok(found, `the README has no line "${start}…"`);
    return found.replaceAll('sudo ', '');
  }

  test('the package is installed on each', async () => {
    const install = `${line('tar xzf')} && ${line('sudo swarm-0.1.0/deploy/install.sh')}`;
    for (const [at, machine] of machines.entries()) {
      await machine.must(`hostname host${at + 1}; cd ${temporary.path}; ${install}`);
    }
  });

  test('the first makes a cluster, the others join it with the line that it printed', async () => {
    const [first, ...others] = machines as [Machine, Machine, Machine];
    await first.must(line('sudo swarm init'));
    const printed = await first.must(line('sudo swarm join-token manager'));
    const join = /swarm join --token \S+ \S+/.exec(printed)?.[0];
    assert.ok(join, printed);
    for (const machine of others) await machine.must(`${join} --allow-process`);
    const nodes = await first.must(line('sudo swarm node ls'));
    assert.equal(nodes.match(/ Ready /g)?.length, 3, nodes);
    assert.equal(nodes.match(/Leader|Reachable/g)?.length, 3, nodes);
  });

  test('a service answers on the second machine', async () => {
    const [first, second] = machines as [Machine, Machine, Machine];
    await first.must(line('sudo swarm service create'));
    assert.match(
      await second.must(`${line('curl http')} --silent --fail --max-time 5`),
      /^Hello from web\./,
    );
  });

  test('it survives the loss of any one machine', async () => {
    const [first, second, third] = machines as [Machine, Machine, Machine];
    await first.must('kill -9 $(swarm info --format "{{.PID}}")');
    await second.must('swarm service scale web=2');
    assert.match(await third.must('swarm service ls'), /2\/2/);
  });
});

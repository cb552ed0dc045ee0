import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Api, identities } from '../../support/api.ts';
import { Load } from '../../support/load.ts';
import { type LooseNode, LooseNodes } from '../../support/loose-nodes.ts';
import { ordinaryUser, type Person, whoRuns } from '../../support/people.ts';
import { persons } from '../../support/stage.ts';
import { get, mustSwarm, until } from '../../support/swarm.ts';

const PORT = 21_160;
/** The shortest life that a cluster accepts, for which this machine has to be about idle. */
const SHORTEST_S = 10;
/** Ten lives of this length fit. */
const LONGEST_S = 60;
/** What one command takes on an idle machine. */
const COMMAND_MS = 250;

for (const person of persons(ordinaryUser)) {
  describe(`certificates of ${person.name} that live for seconds`, () => certificates(person));
}

function certificates(person: Person): void {
  const nodes = new LooseNodes(person);
  const { user } = person;
  const all: LooseNode[] = [];
  let api: Api;
  let lifeS: number;
  let lives: number;
  before(async () => {
    lifeS = await lifeOnThisMachine();
    // Ten lives are for who runs the tests; somebody else's daemons renew in the same way.
    const most = person.uid === whoRuns().uid ? 10 : 2;
    lives = Math.max(2, Math.round((most * SHORTEST_S) / lifeS));
    for (const name of ['a', 'b', 'c', 'd']) all.push(await nodes.add(name));
    const [a, b, c, d] = all;
    // What is lost here is lost for want of a certificate, not on a machine that is busy.
    await nodes.init(a!, '--cert-expiry', `${lifeS}s`, '--node-grace', '30s');
    await nodes.join(b!, 'manager', a!);
    await nodes.join(c!, 'manager', a!);
    await nodes.join(d!, 'worker', a!);
    api = nodes.api(a!);
    const words = ['service', 'create', '-q', '--name', 'web', '--replicas', '4', ...user];
    await nodes.must(a!, [...words, '-p', `${PORT}:80`, '--process', 'hello']);
  });
  after(async () => {
    await nodes.down();
    person.remove();
  });

  test('are renewed, life after life, under load and writes, and nobody notices', async () => {
    const tasks = identities(await api.running('web'));
    const first = all.map(serial);
    const seen = all.map((node) => new Set([serial(node)]));
    const load = new Load(
      all.map(({ host }) => ({ host, port: PORT })),
      25,
    );
    let writes = 0;
    const untilMs = performance.now() + (lives + 1) * lifeS * 1_000;
    while (seen.some((serials) => serials.size <= lives)) {
      assert.ok(performance.now() < untilMs, 'the certificates are renewed');
      await api.label('web', { [`w${writes % 50}`]: `${writes}` });
      writes++;
      for (const [i, node] of all.entries()) seen[i]!.add(serial(node));
      await nextTurn();
    }
    assert.deepEqual(all.flatMap(refusals), []);
    const { lost, answered } = await load.stop();
    assert.deepEqual(lost.slice(0, 5), []);
    assert.ok(answered > 100 * lives);
    assert.ok(all.every((node, i) => serial(node) !== first[i]));
    assert.deepEqual(identities(await api.running('web')), tasks);
  });

  test('that ended while every daemon was stopped are no obstacle: the cluster starts', async () => {
    const tasks = identities(await api.running('web'));
    // The daemons start one after the other, which may take a slow machine a while.
    await nodes.must(all[0]!, ['cluster', 'update', '--node-grace', '1m']);
    for (const node of all) await nodes.must(node, ['stop']);
    await until(
      'every certificate to be over',
      async () => {
        // What the stopped daemons left running answers meanwhile.
        assert.equal((await get(all[3]!.host, PORT)).status, 200);
        return all.every((node) => endsWallMs(node) < Date.now()) || undefined;
      },
      2 * lifeS * 1_000,
    );
    const allow = person.uid === 0 ? ['--allow-process'] : [];
    await Promise.all(
      all.map((node) => nodes.must(node, ['start', '--state-dir', node.stateDir, ...allow])),
    );
    await until('every node to be ready', async () =>
      (await api.nodes()).every((view) => view.status?.liveness === 1) ? true : undefined,
    );
    await api.label('web', { after: 'yes' });
    await until('every certificate to be a new one', () =>
      all.every((node) => endsWallMs(node) > Date.now()) ? true : undefined,
    );
    assert.deepEqual(identities(await api.running('web')), tasks);
  });
}

/**
 * Seconds that a certificate lives here: a clock that nobody can stop takes them, so that a machine on
 * which everything takes five times as long has five times as many for a renewal.
 */
async function lifeOnThisMachine(): Promise<number> {
  const given = process.env.SWARM_TEST_LIFE_S;
  if (given !== undefined) return Number(given);
  const startMs = performance.now();
  await mustSwarm(['--version']);
  const slowness = (performance.now() - startMs) / COMMAND_MS;
  return Math.round(Math.min(LONGEST_S, Math.max(SHORTEST_S, SHORTEST_S * slowness)));
}

function certificate(node: LooseNode): X509Certificate {
  const pem = readFileSync(join(node.stateDir, 'identity.pem'), 'utf8');
  return new X509Certificate(
    /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(pem)![0],
  );
}

/**
 * What its log says of calls that were refused for want of a certificate that holds. That a node is
 * silent for a while says less: a busy machine does that too.
 */
function refusals(node: LooseNode): string[] {
  const lines = readFileSync(join(node.stateDir, 'swarmd.log'), 'utf8').split('\n');
  return lines.filter((line) => /needs a certificate|certificate has expired/.test(line));
}

function serial(node: LooseNode): string {
  return certificate(node).serialNumber;
}

function endsWallMs(node: LooseNode): number {
  return Date.parse(certificate(node).validTo);
}

/** Leaves the machine some time between two writes. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import {
  type CreateServiceRequest,
  GetNodeResponse,
  GetServiceResponse,
  InfoResponse,
  type Init,
  ListNodesResponse,
  ListServicesResponse,
  ListTasksResponse,
  NodeView,
  Protocol,
  type Ref,
  Role,
  ServiceProgress,
  ServiceView,
  TaskState,
  type UpdateServiceRequest,
  WhyResponse,
} from '../proto/index.ts';
import { SwarmError } from '../shared/errors.ts';
import { RecordedIo } from './testing/recorded-io.ts';
import { runCli } from './testing/run-cli.ts';
import { TREE } from './tree.ts';

const nowMs = Date.UTC(2026, 0, 31, 12);
const ID = 'a1b2c3d4e5f6g7h8i9j0k1l2m';
const view: Init<ServiceView> = {
  service: {
    id: ID,
    revision: 3,
    version: 41,
    spec: {
      name: 'web',
      replicas: 3,
      task: { process: { command: ['hello', 'dark blue'] } },
      endpoint: { ports: [{ published: 8080, target: 80 }] },
    },
  },
  state: { runningRevision: 3 },
  desired: 3,
  running: 2,
};
const converged = ServiceProgress.create({ service: view, converged: true, published: true });

test('service ls prints the table of Docker', async () => {
  const { out, code } = await runCli(['service', 'ls'], {
    ListServices: () => ListServicesResponse.create({ services: [view] }),
  });
  assert.equal(
    out,
    'ID             NAME   MODE         REPLICAS   IMAGE OR COMMAND    PORTS\n' +
      "a1b2c3d4e5f6   web    replicated   2/3        hello 'dark blue'   *:8080->80/tcp\n",
  );
  assert.equal(code, 0);
});

test('service ps shows older tasks of a slot under its newest', async () => {
  const task = (id: string, createdMs: number, state: TaskState, err = '') => ({
    task: { id, serviceId: ID, slot: 1, createdMs, desiredState: TaskState.RUNNING },
    status: { state, err, atWallMs: nowMs - 5_000 },
    serviceName: 'web',
    nodeName: 'alpha',
    image: 'hello',
    state,
  });
  const { out } = await runCli(['service', 'ps', 'web'], {
    GetService: () => GetServiceResponse.create({ service: view }),
    ListTasks: () =>
      ListTasksResponse.create({
        tasks: [task('old', 1, TaskState.FAILED, 'exit code 1'), task('new', 2, TaskState.RUNNING)],
      }),
  });
  assert.equal(
    out,
    'ID    NAME        IMAGE OR COMMAND   NODE    DESIRED STATE   CURRENT STATE           ERROR           PORTS\n' +
      'new   web.1       hello              alpha   Running         Running 5 seconds ago\n' +
      'old    \\_ web.1   hello              alpha   Running         Failed 5 seconds ago    "exit code 1"\n',
  );
});

test('service ps warns of what the cluster says about the service', async () => {
  const answers = {
    GetService: () => {
      const warnings = ['port 8080: w1: it is taken by nginx (pid 7)'];
      return GetServiceResponse.create({ service: { ...view, warnings } });
    },
    ListTasks: () => ListTasksResponse.create(),
  };
  const { err, code } = await runCli(['service', 'ps', 'web'], answers);
  assert.equal(err, 'WARNING: port 8080: w1: it is taken by nginx (pid 7)\n');
  assert.equal(code, 0);
  assert.equal((await runCli(['service', 'ps', '-q', 'web'], answers)).err, '');
});

test('info tells a daemon on its way back into its cluster from one in none', async () => {
  const clusterOf = async (state: string) => {
    const { out } = await runCli(['info'], { Info: () => InfoResponse.create({ state }) });
    return /^Cluster: +(.*)$/m.exec(out)?.[1];
  };
  assert.equal(await clusterOf('none'), 'none: swarm init or swarm join');
  assert.match((await clusterOf('starting')) ?? '', /^the daemon is taking it up/);
});

test('what is written after the image or command is passed on untouched', async () => {
  const argv = [
    'service',
    'create',
    '-d',
    '--process',
    'sh',
    '-c',
    'exec "$0" -p',
    '--name',
    'x',
    '--',
    '-d',
  ];
  const { client, code } = await runCli(argv, { CreateService: () => ServiceView.create(view) });
  assert.equal(code, 0);
  const [request] = client.requestsOf('CreateService') as readonly CreateServiceRequest[];
  assert.deepEqual(request!.spec!.task!.process!.command, argv.slice(4));
  assert.equal(request!.spec!.name, '');
});

test('create waits until the service has converged and then succeeds', async () => {
  const answers = {
    CreateService: () => ServiceView.create(view),
    WatchService: () => [
      ServiceProgress.create({
        service: view,
        tasks: [
          { id: 't', slot: 1, nodeName: 'alpha', state: TaskState.RUNNING, wishedRevision: true },
        ],
      }),
      converged,
    ],
  };
  const { out, code } = await runCli(['service', 'create', '--name', 'web', 'nginx'], answers);
  assert.equal(
    out,
    `${ID}\n1/3: running on alpha\noverall progress: 1 out of 3 tasks\noverall progress: 0 out of 3 tasks\n`,
  );
  assert.equal(code, 0);
  const quiet = await runCli(['service', 'create', '-q', 'nginx'], answers);
  assert.equal(quiet.out, `${ID}\n`);
});

test('what came up while waiting is shown once, with -q as a warning', async () => {
  const warned = ['n1: it runs without its limit of memory'];
  const later = ServiceProgress.with(converged, {
    service: ServiceView.create({ ...view, warnings: ['said at once', ...warned] }),
  });
  const answers = {
    CreateService: () => ServiceView.create({ ...view, warnings: ['said at once'] }),
    WatchService: () => [later],
  };
  const shown = await runCli(['service', 'create', 'nginx'], answers);
  assert.equal(shown.err, 'WARNING: said at once\n');
  assert.match(shown.out, /^n1: it runs without its limit of memory$/m);
  const quiet = await runCli(['service', 'create', '-q', 'nginx'], answers);
  assert.equal(quiet.err, `WARNING: said at once\nWARNING: ${warned[0]}\n`);
});

test('a service that does not converge ends with code 1 and the first reason of why', async () => {
  const { err, code } = await runCli(['service', 'create', 'nginx'], {
    CreateService: () => ServiceView.create(view),
    WatchService: () => [
      ServiceProgress.create({ service: view, failed: true, message: 'paused' }),
    ],
    Why: () =>
      WhyResponse.create({
        reasons: [
          { text: 'No node fits.', advice: 'Add one:', command: 'swarm join-token worker' },
        ],
      }),
  });
  assert.equal(code, 1);
  assert.equal(
    err,
    'Error: Service web has not converged.\npaused\nNo node fits.\nAdd one:\n  swarm join-token worker\n',
  );
});

test('the words of a node are told once, in the sentence that says more', async () => {
  const ending = async (message: string, code: string, text: string): Promise<string> => {
    const { err } = await runCli(['service', 'create', 'nginx'], {
      CreateService: () => ServiceView.create(view),
      WatchService: () => [ServiceProgress.create({ service: view, failed: true, message })],
      Why: () => WhyResponse.create({ reasons: [{ code, text }] }),
    });
    return err.split('\n')[1]!;
  };
  const refused = 'every node that fits has refused it: no such command';
  const node = 'node w2 refused web.1, it cannot run x: no such command';
  assert.equal(await ending(refused, 'missing-command', node), refused);
  const fuller = 'the update of web to revision 2 is paused: exit code 9';
  assert.equal(await ending('the update is paused: exit code 9', 'update-paused', fuller), fuller);
});

test('update puts its flags over what somebody else wrote meanwhile', async () => {
  let version = 41;
  const { client, code } = await runCli(['service', 'update', '-d', '--env-add', 'A=1', 'web'], {
    GetService: () =>
      GetServiceResponse.create({ service: { service: { ...view.service, version: version++ } } }),
    UpdateService: (request: UpdateServiceRequest) => {
      if (request.version === 41) throw new SwarmError('VERSION_CONFLICT', 'too old');
      return ServiceView.create(view);
    },
  });
  assert.equal(code, 0);
  const versions = (client.requestsOf('UpdateService') as readonly UpdateServiceRequest[]).map(
    (request) => [request.version, request.spec!.task!.process!.env],
  );
  assert.deepEqual(versions, [
    [41, ['A=1']],
    [42, ['A=1']],
  ]);
});

test('scale reads every number before it changes anything', async () => {
  const { client, code, err } = await runCli(['service', 'scale', 'web=3', 'db=x']);
  assert.equal(code, 2);
  assert.match(err, /service scale db/);
  assert.deepEqual(client.calls, []);
});

test('several objects are each tried, and the code is that of the first error', async () => {
  const { out, err, code } = await runCli(['service', 'rm', '-d', 'a', 'b', 'c'], {
    RemoveService: ({ ref }: { ref: string }) => {
      if (ref === 'b') throw new SwarmError('NOT_FOUND', 'There is no service b.');
      return { id: ref };
    },
  });
  assert.equal(out, 'a\nc\n');
  assert.match(err, /no service b/);
  assert.equal(code, 3);
});

test('services that are removed together are told apart', async () => {
  const { out, code } = await runCli(['service', 'rm', 'a', 'b'], {
    RemoveService: ({ ref }: { ref: string }) => ({ id: ref }),
    WatchService: () => [ServiceProgress.create({ removed: true })],
  });
  assert.deepEqual([out, code], ['a\nb\nremoved a\nremoved b\n', 0]);
});

test('a service that does not go keeps nobody from waiting for the next, and is told', async () => {
  const { out, err, code } = await runCli(['service', 'rm', 'a', 'b'], {
    RemoveService: ({ ref }: { ref: string }) => ({ id: ref }),
    WatchService: ({ id }: { id: string }) => {
      if (id === 'a') throw new SwarmError('FORBIDDEN', 'Nothing is told of a.');
      return [ServiceProgress.create({ removed: true })];
    },
  });
  assert.deepEqual([out, code], ['a\nb\nremoved b\n', 6]);
  assert.match(err, /Nothing is told of a/);
});

test('wrong words and flags are refused with what was meant', async () => {
  const refused = async (line: string, part: string) => {
    const { code, err, client } = await runCli(line.split(' '));
    assert.equal(code, 2, line);
    assert.ok(err.includes(part), err);
    assert.deepEqual(client.calls, [], line);
  };
  await refused('servce ls', 'Did you mean service?');
  await refused('service crate', 'Did you mean create?');
  await refused('service create --replica 3 x', 'Did you mean --replicas?');
  await refused('service update', "'SERVICE'");
  await refused('service ls extra', 'argument');
  await refused('service ls --filter colour=red', 'name, label');
  await refused('volume prune --filter colour=red', 'label, name');
  await refused('node update alpha', 'nothing to change');
  await refused('join 10.0.0.1', '--token');
  await refused('service create', 'image');
  await refused('service update --env A=1 web', 'Did you mean --env-add or --env-rm?');
  await refused('service scale web 5', 'swarm service scale web=5');
});

test('words and flags of Docker lead to what does it here', async () => {
  const refused = async (line: string, part: string) => {
    const { code, err } = await runCli(line.split(' '));
    assert.equal(code, 2, line);
    assert.ok(err.includes(part), err);
  };
  await refused('stack deploy -c compose.yml app', 'no stack files yet');
  await refused('secret create key', 'no secrets yet');
  await refused('service create -v data:/data nginx', 'Did you mean --mount?');
  await refused('service create --memory=1g nginx', 'Did you mean --limit-memory?');
  await refused('service create --secret key nginx', 'no secrets yet');
  await refused('service update --volume data:/data web', '--mount-add or --mount-rm?');
  await refused('init --autolock', 'Managers have no lock');
});

test('what is called otherwise elsewhere is named by what it is called here', async () => {
  for (const [word, part] of [
    ['ps', 'swarm task ls'],
    ['services', 'swarm service ls'],
    ['scale', 'swarm service scale SERVICE=REPLICAS'],
    ['run', 'swarm service create'],
    ['network connect', 'swarm service update --network-add'],
  ] as const) {
    const words = word.split(' ');
    const { code, err } = await runCli(words);
    assert.equal(code, 2);
    assert.ok(err.startsWith(`Error: Unknown command '${words.at(-1)}'.\n${part}`), err);
  }
});

test('the version is said wherever it is asked for before a command', async () => {
  for (const line of ['-v', '--version', '--socket /x --version']) {
    const { out, code } = await runCli(line.split(' '));
    assert.match(out, /^\d+\.\d+\.\d+\n$/, line);
    assert.equal(code, 0);
  }
});

test('help may be asked for with a word as well', async () => {
  for (const [asked, same] of [
    [['help'], ['--help']],
    [
      ['help', 'service', 'create'],
      ['service', 'create', '--help'],
    ],
  ] as const) {
    const { out, code } = await runCli(asked);
    assert.equal(code, 0);
    assert.equal(out, (await runCli(same)).out);
  }
});

test('what a task waits for is shown without its code, and where it answers itself', async () => {
  const ports = [
    { target: 80, host: '10.0.0.1', port: 20_000 },
    { target: 53, port: 5_353, protocol: Protocol.UDP },
  ];
  const tasks = [
    { task: { id: 'a', slot: 1, pendingReason: 'no-runtime|no node runs it' } },
    { task: { id: 'c', slot: 3 }, state: TaskState.RUNNING, ports },
  ];
  const { out } = await runCli(['task', 'ls', '--format', '{{.ID}} {{.Error}} {{.Ports}}'], {
    ListTasks: () => ListTasksResponse.create({ tasks }),
  });
  assert.equal(out, 'a "no node runs it" \nc  10.0.0.1:20000->80/tcp, *:5353->53/udp\n');
});

test('why says the first cause once, with what to do about it', async () => {
  const answer = (code: string, text: string, summary: string) => ({
    Why: () =>
      WhyResponse.create({
        name: 'web',
        summary,
        reasons: [{ code, text, advice: 'Do this.', command: 'swarm x' }],
      }),
  });
  const cause = answer('no-runtime', 'web: no runtime', 'web: 0 of 1 tasks run; no runtime');
  assert.equal(
    (await runCli(['why', 'web'], cause)).out,
    'web: 0 of 1 tasks run; no runtime\n  Do this.\n    swarm x\n',
  );
  const fine = answer('fine', 'web is as it was wished', 'web: 1 of 1 tasks run, as was wished');
  assert.equal(
    (await runCli(['why', 'web'], fine)).out,
    'web: 1 of 1 tasks run, as was wished\n  Do this.\n    swarm x\n',
  );
});

test('names from the cluster cannot steer the terminal', async () => {
  const { out } = await runCli(['node', 'ls'], {
    ListNodes: () =>
      ListNodesResponse.create({ nodes: [{ node: { id: 'n1', name: 'a\x1b[2J' } }] }),
  });
  assert.ok(!out.includes('\x1b'));
});

test('an answer that may be old says so', async () => {
  const { err } = await runCli(['node', 'ls'], {
    ListNodes: () =>
      ListNodesResponse.create({
        freshness: { stale: true, asOfWallMs: nowMs, reason: 'no leader' },
      }),
  });
  assert.match(err, /WARNING: stale, as of .* \(no leader\)/);
});

test('a token is never printed by an error', async () => {
  const token = `SWMTKN-1-${'a'.repeat(50)}`;
  const { err, code } = await runCli(['join', '--token', token, '10.0.0.1:2377']);
  assert.equal(code, 2);
  assert.ok(!err.includes('aaaa'));
});

test('every command has help, and no flag is declared twice', async () => {
  for (const [noun, entry] of Object.entries(TREE)) {
    for (const path of entry.verbs
      ? Object.keys(entry.verbs).map((verb) => [noun, verb])
      : [[noun]]) {
      const { code, out } = await runCli([...path, '--help']);
      assert.equal(code, 0, path.join(' '));
      assert.match(out, /^Usage: /);
      const flags = [...out.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map((match) => match[1]);
      assert.equal(new Set(flags).size, flags.length, `${path.join(' ')}: ${flags}`);
    }
  }
});

test('promoting a manager says that it is one, and changes nothing', async () => {
  const node = { name: 'alpha', role: Role.MANAGER };
  const { code, out, client } = await runCli(['node', 'promote', 'alpha'], {
    GetNode: () => GetNodeResponse.create({ node: { node } }),
    ListNodes: () => ListNodesResponse.create(),
  });
  assert.deepEqual([code, out], [0, 'Node alpha is already a manager.\n']);
  assert.deepEqual(client.requestsOf('UpdateNode'), []);
});

test('of several nodes that are demoted, the one that answers comes last', async () => {
  const ids = ['alpha', 'beta', 'gamma'];
  const { code, out, client } = await runCli(['node', 'demote', 'alpha', 'nobody', 'beta'], {
    Info: () => InfoResponse.create({ nodeId: 'alpha' }),
    GetNode: ({ ref }: Ref) => {
      if (!ids.includes(ref)) throw new SwarmError('NOT_FOUND', `no node "${ref}"`);
      return GetNodeResponse.create({ node: { node: { id: ref, name: ref, role: Role.MANAGER } } });
    },
    UpdateNode: () => NodeView.create(),
    ListNodes: () => {
      throw new SwarmError('NOT_A_MANAGER', 'this node is a worker');
    },
  });
  assert.deepEqual(
    [code, out],
    [3, 'Node beta demoted to worker.\nNode alpha demoted to worker.\n'],
  );
  assert.equal(client.requestsOf('UpdateNode').length, 2);
});

test('completion knows words, flags, values and names', async () => {
  const complete = async (...words: string[]) => {
    const { out } = await runCli(['__complete', ...words], {
      ListServices: () => ListServicesResponse.create({ services: [view] }),
    });
    return out.split('\n').map((line) => line.split('\t')[0]);
  };
  assert.deepEqual(await complete('serv'), ['service', '']);
  assert.deepEqual(await complete('service', 'sc'), ['scale', '']);
  assert.deepEqual(await complete('service', 'scale', 'w'), ['web=', '']);
  assert.deepEqual(await complete('service', 'inspect', ''), ['web', '']);
  assert.ok((await complete('service', 'create', '--repl')).includes('--replicas'));
  assert.deepEqual(await complete('node', 'update', '--availability', 'd'), ['drain', '']);
});

const bash = spawnSync('bash', ['--version']).error === undefined;
test('bash completes with what __complete says', {
  skip: bash ? false : 'no bash here',
}, async () => {
  const { out } = await runCli(['completion', 'bash']);
  const program = `${out}
    swarm() { [[ "$*" == "__complete service sc" ]] && printf 'scale\\tsummary\\n'; }
    COMP_WORDS=(swarm service sc) COMP_CWORD=2
    _swarm && echo "\${COMPREPLY[*]}" && complete -p swarm`;
  const { stdout } = spawnSync('bash', ['--norc', '-c', program], { encoding: 'utf8' });
  assert.equal(stdout, 'scale\ncomplete -F _swarm swarm\n');
});

test('Ctrl-C ends a wait with code 130 and says that the service goes on', async () => {
  const io = new RecordedIo();
  const answers = {
    CreateService: () => ServiceView.create(view),
    WatchService: () => {
      io.interrupt.abort();
      throw new SwarmError('UNREACHABLE', 'cancelled');
    },
  };
  const { code, err } = await runCli(['service', 'create', 'nginx'], answers, io);
  assert.equal(code, 130);
  assert.match(err, /goes on in the background/);
});

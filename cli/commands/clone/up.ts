import { join } from 'node:path';
import {
  ControlService,
  Empty,
  InitRequest,
  JoinTokenRequest,
  LocalService,
  Role,
} from '../../../proto/index.ts';
import { delay } from '../../../shared/clock.ts';
import { SwarmError } from '../../../shared/errors.ts';
import { DEFAULTS } from '../../../shared/limits.ts';
import { ensureHello, helloUser, waitForAnswer } from '../../clone/hello.ts';
import {
  buildOf,
  readUpMarker,
  type UpMarker,
  upDirOf,
  writeUpMarker,
} from '../../clone/marker.ts';
import type { Verb } from '../../command.ts';
import { openSession, probeSocket } from '../../connect.ts';
import type { Context } from '../../context.ts';
import { startDaemon } from '../../daemon-process.ts';
import { canListen, freePort } from '../../free-port.ts';
import type { Installation } from '../../installation.ts';
import { hasState, stopDaemon, surroundingsOf } from '../../local-daemon.ts';
import { parseWhole } from '../../parse/number.ts';
import { processStartTime } from '../../process-identity.ts';
import type { Session } from '../../session.ts';
import { shortSocketPath } from '../../socket-path.ts';
import type { Flags } from '../../spec/flags.ts';

const LOOPBACK = '127.0.0.1';
const PORT = 8080;
const LEADER_MS = 15_000;
const PORT_MS = 4_000;

/** `npm run up`: every step is found done or done again, so it may be cut off anywhere. */
export const up: Verb = {
  declare(command) {
    command
      .argument('[PORT]')
      .option('--port <N>', `Port on which hello answers (default ${PORT}, or SWARM_PORT)`)
      .option('--address <IP>', 'Address of this node (default 127.0.0.1: this machine alone)');
  },
  async run(context, words, flags) {
    const { installation } = surroundingsOf(context);
    const dir = upDirOf(installation);
    const asked = askedPort(context, words, flags);
    const before = readUpMarker(dir);
    const marker = before ?? (await newMarker(context, dir, asked ?? PORT, flags));
    if (before === undefined) writeUpMarker(dir, marker);
    refuseOtherAddress(marker, flags);
    sayRoot(context);
    const running = await ensureUpDaemon(context, installation, dir, marker);
    const session = await openSession(running.socket);
    try {
      await initOnce(context, session, running);
      await waitForLeader(context, session);
      const port = await chooseHello(context, session, dir, running, asked);
      context.io.out(await farewell(context, session, running, port));
    } finally {
      session.close();
    }
  },
};

/** `npm run up 9090`, `npm run up -- --port 9090`, `npm run up --port 9090`, SWARM_PORT. */
function askedPort(context: Context, words: readonly string[], flags: Flags): number | undefined {
  const { env } = context.io;
  const text = flags.text('port') ?? words[0] ?? (env['npm_config_port'] || env['SWARM_PORT']);
  return text === undefined || text === '' ? undefined : parseWhole('The port', text, 1, 65_535);
}

async function newMarker(
  context: Context,
  dir: string,
  port: number,
  flags: Flags,
): Promise<UpMarker> {
  const address = flags.text('address') ?? LOOPBACK;
  await refuseTakenPort(context, address, port);
  return {
    kind: 'swarm-up',
    stateDir: join(dir, 'state'),
    socket: shortSocketPath(dir, 'swarm.sock', context.io.env, context.io.uid),
    address,
    controlPort: await freePort(address, DEFAULTS.controlPort),
    port,
    build: '',
    pid: 0,
    startTime: '',
  };
}

/** A port may be held for a moment by what an earlier `npm run down` has ended. */
async function refuseTakenPort(context: Context, address: string, port: number): Promise<void> {
  const { clock } = context.io;
  const endMs = clock.monotonicMs() + PORT_MS;
  while (!(await canListen(address, port))) {
    if (clock.monotonicMs() > endMs) {
      const other = port < 64_000 ? port + 1_010 : port - 1_010;
      throw new SwarmError(
        'PORT_TAKEN',
        `Port ${port} on ${address} is taken by another program.`,
        {
          advice: "It may be another clone's cluster. Choose another port:",
          command: `npm run up ${address === LOOPBACK ? '' : `-- --address ${address} `}${other}`,
        },
      );
    }
    await delay(clock, 100);
  }
}

function refuseOtherAddress(marker: UpMarker, flags: Flags): void {
  const asked = flags.text('address');
  if (asked === undefined || asked === marker.address) return;
  throw new SwarmError('IN_USE', `This cluster has the address ${marker.address}.`, {
    advice: 'End it, then start it with the other address.',
    command: `npm run down && npm run up -- --address ${asked}`,
  });
}

function sayRoot(context: Context): void {
  if (context.io.uid !== 0) return;
  context.io.err(
    'You are root: this cluster runs with --allow-process, ' +
      `and hello as user ${helloUser(context.io)}.\n`,
  );
}

/** The daemon of the marker, of the build that lies here: started, or restarted when it is older. */
async function ensureUpDaemon(
  context: Context,
  installation: Installation,
  dir: string,
  marker: UpMarker,
): Promise<UpMarker> {
  const build = buildOf(installation);
  if ((await probeSocket(marker.socket)) === 'answers') {
    if (marker.build === build) return marker;
    context.io.err('The build is newer than the running daemon: restarting it (tasks go on)\n');
    await stopDaemon(context, await openSession(marker.socket), { restarting: true });
  }
  const { daemon } = installation;
  const { stateDir, socket } = marker;
  const place = { daemon, stateDir, socket, allowProcess: context.io.uid === 0 };
  // Written before: cut off from here on, the daemon that runs is known to be of this build.
  writeUpMarker(dir, { ...marker, build });
  const { pid, logFile } = await startDaemon(place, context.io.clock);
  context.io.err(`Started the daemon (pid ${pid}), log: ${logFile}\n`);
  const started = { ...marker, build, pid, startTime: processStartTime(pid) ?? '' };
  writeUpMarker(dir, started);
  return started;
}

async function initOnce(context: Context, session: Session, marker: UpMarker): Promise<void> {
  const info = await session.read(LocalService.info, Empty.create());
  if (info.state !== 'none' || hasState(marker.stateDir)) return;
  const address = `${marker.address}:${marker.controlPort}`;
  await session.write(
    LocalService.init,
    InitRequest.create({
      advertiseAddress: address,
      listenAddress: address,
      publishAddress: marker.address,
      allowProcess: context.io.uid === 0,
    }),
  );
}

/** A daemon that just started answers reads before it leads. */
async function waitForLeader(context: Context, session: Session): Promise<void> {
  const { clock } = context.io;
  const endMs = clock.monotonicMs() + LEADER_MS;
  for (;;) {
    try {
      await session.read(ControlService.getCluster, Empty.create());
      return;
    } catch (error) {
      const waits = SwarmError.is(error) && WAITS.has(error.code);
      if (!waits || clock.monotonicMs() > endMs) throw error;
    }
    await delay(clock, 50);
  }
}

const WAITS = new Set(['NO_QUORUM', 'NOT_LEADER', 'UNREACHABLE', 'NOT_A_MANAGER', 'DROPPED']);

async function chooseHello(
  context: Context,
  session: Session,
  dir: string,
  marker: UpMarker,
  asked: number | undefined,
): Promise<number | undefined> {
  const wanted = asked ?? marker.port;
  if (wanted !== marker.port) await refuseTakenPort(context, marker.address, wanted);
  const port = await ensureHello(context, session, wanted, asked !== undefined);
  if (port !== undefined && port !== marker.port) writeUpMarker(dir, { ...marker, port });
  if (port !== undefined) {
    const line = await waitForAnswer(context, `http://${marker.address}:${port}/`);
    context.io.out(`\n${line}\n`);
  }
  return port;
}

async function farewell(
  context: Context,
  session: Session,
  marker: UpMarker,
  port: number | undefined,
): Promise<string> {
  const lines =
    port === undefined ? [] : ['', `hello answers on http://${marker.address}:${port}/`];
  lines.push('', ...(await joinLines(session, marker)), '', 'Next:');
  if (port !== undefined) lines.push(`  curl http://${marker.address}:${port}/`);
  lines.push(
    '  ./swarm service ps hello',
    '  ./swarm service scale hello=5',
    '  ./swarm why hello',
    '  npm run down',
  );
  if (context.io.uid !== 0) {
    lines.push('', 'Tasks are processes of yours, without isolation: they may do what you may do.');
  }
  return `${lines.join('\n')}\n`;
}

async function joinLines(session: Session, marker: UpMarker): Promise<readonly string[]> {
  if (marker.address.startsWith('127.')) {
    return [
      'Other machines cannot reach this node: it listens on loopback alone. For a cluster of',
      'several machines: npm run down, then npm run up -- --address IP-OF-THIS-MACHINE',
    ];
  }
  const { token } = await session.read(
    ControlService.joinToken,
    JoinTokenRequest.create({ role: Role.WORKER }),
  );
  const address = `${marker.address}:${marker.controlPort}`;
  return ['Another machine joins with', `  swarm join --token ${token} ${address}`];
}

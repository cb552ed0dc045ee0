import {
  Channel,
  Frame,
  type NodeVolume,
  StreamStarted,
  VolumeAction,
  type VolumeRequest,
} from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { FramedStream } from '../../shared/rpc/framed-stream.ts';
import type { RuntimeVolumes } from '../runtime.ts';
import { OutputPumps } from './output-pump.ts';

/** The volumes of this node, as somebody works with them from elsewhere. */
export interface VolumeAccess {
  readonly volumes: RuntimeVolumes;
  /** Names of tasks here that use the volume, or are about to. */
  usersOf(name: string): readonly string[];
  /** Resolves when managers know which volumes this node has, or cannot be told now. */
  told(): Promise<void>;
}

export interface VolumeTalk {
  readonly clock: Clock;
  readonly frames: FramedStream;
  /** Resolves when nobody listens any more. */
  readonly gone: Promise<'gone'>;
}

/** Does what is asked with one volume; the end of the talk is the caller's to say. */
export async function serveVolume(
  talk: VolumeTalk,
  access: VolumeAccess,
  request: VolumeRequest,
): Promise<void> {
  const { action, name, labels, options, replace } = request;
  const { volumes } = access;
  if (action === VolumeAction.CREATE) {
    begin(talk, { volume: await volumes.create(name, labels, options) });
    await access.told();
  } else if (action === VolumeAction.REMOVE) {
    refuseUsed(access, name);
    await volumes.remove(name);
    begin(talk, {});
    await access.told();
  } else if (action === VolumeAction.EXPORT) await exportVolume(talk, volumes, name);
  else if (action === VolumeAction.IMPORT) await importVolume(talk, access, name, replace);
  else throw new SwarmError('UNSUPPORTED', 'This node does not know what is asked for.');
}

async function exportVolume(
  talk: VolumeTalk,
  volumes: RuntimeVolumes,
  name: string,
): Promise<void> {
  const files = await volumes.read(name);
  const { file = null, stdout, done } = files;
  begin(talk, { file });
  const pumps = new OutputPumps(talk.clock);
  if (stdout !== undefined) pumps.add(stdout, talk.frames.writer(Channel.OUTPUT));
  try {
    await Promise.race([Promise.all([done, pumps.settled()]), talk.gone]);
  } finally {
    files.close();
  }
}

async function importVolume(
  talk: VolumeTalk,
  access: VolumeAccess,
  name: string,
  replace: boolean,
): Promise<void> {
  refuseUsed(access, name);
  const taken = await access.volumes.write(name, replace);
  try {
    const { file = null, stdin, done } = taken.files;
    begin(talk, { file, input: true });
    if (stdin !== undefined) talk.frames.reader(Channel.INPUT).pipe(stdin);
    if ((await Promise.race([done, talk.gone])) === 'gone') return;
    // Somebody may have begun to use it meanwhile.
    refuseUsed(access, name);
    await taken.commit();
    await access.told();
  } finally {
    await taken.close();
  }
}

function refuseUsed({ usersOf }: VolumeAccess, name: string): void {
  const users = usersOf(name);
  if (users.length === 0) return;
  throw new SwarmError('IN_USE', `Volume ${name} is used by ${users.join(', ')}.`);
}

function begin(
  { frames }: VolumeTalk,
  started: {
    readonly volume?: NodeVolume;
    readonly file?: StreamStarted['file'];
    readonly input?: boolean;
  },
): void {
  frames.send(
    Frame.create({ started: StreamStarted.with(StreamStarted.create(), { ...started }) }),
  );
}

import {
  ControlService,
  type Init,
  ListRequest,
  type VolumeRequest,
  type VolumeView,
} from '../proto/index.ts';
import { SwarmError } from '../shared/errors.ts';
import type { Session } from './session.ts';
import { NotBegun, TaskTalk } from './task-talk.ts';

/** NODE:VOLUME; the node may be left out where only one has it. */
export interface VolumePlace {
  readonly node: string | undefined;
  readonly name: string;
}

export function parsePlace(text: string): VolumePlace {
  const at = text.indexOf(':');
  if (at < 0) return { node: undefined, name: text };
  return { node: text.slice(0, at), name: text.slice(at + 1) };
}

/** Every volume of all nodes that is called so. */
export async function volumesAt(
  session: Session,
  { node, name }: VolumePlace,
): Promise<readonly VolumeView[]> {
  const filters = node === undefined ? [] : [{ key: 'node', value: node }];
  const request = ListRequest.create({ filters: [{ key: 'name', value: name }, ...filters] });
  const { volumes } = await session.read(ControlService.listVolumes, request);
  return volumes.filter(({ volume }) => volume?.name === name);
}

/** Throws NOT_FOUND, and AMBIGUOUS where more than one node has it. */
export async function oneVolume(session: Session, place: VolumePlace): Promise<VolumeView> {
  const found = await volumesAt(session, place);
  const [first] = found;
  if (found.length === 1 && first !== undefined) return first;
  if (first === undefined) {
    const { node, name } = place;
    const said =
      node === undefined ? `No node has a volume ${name}.` : `${node} has no volume ${name}.`;
    throw new SwarmError('NOT_FOUND', said, { command: 'swarm volume ls' });
  }
  const places = found.map(({ nodeName }) => `${nodeName}:${place.name}`).join(', ');
  throw new SwarmError('AMBIGUOUS', `${found.length} nodes have a volume ${place.name}.`, {
    advice: `Give one of ${places}.`,
  });
}

/** One talk with a node about one volume. Who opens it closes it. */
export function talkAbout(session: Session, node: string, volume: Init<VolumeRequest>): TaskTalk {
  return new TaskTalk(session, node, { volume });
}

/** From its begin to its end, where nothing is sent along. */
export async function doWith(
  session: Session,
  node: string,
  request: Init<VolumeRequest>,
): Promise<void> {
  const talk = talkAbout(session, node, request);
  try {
    await talk.started;
    await talk.ended;
  } catch (error) {
    throw error instanceof NotBegun ? new SwarmError('RUNTIME', error.message) : error;
  } finally {
    talk.close();
  }
}

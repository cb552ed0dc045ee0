import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  LocalService,
  RestoreChunk,
  RestoreRequest,
  type RestoreResponse,
} from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import type { Context } from '../../context.ts';
import { ensureDaemon, undoAfter } from '../../local-daemon.ts';
import { ByteCounter } from '../../output/byte-counter.ts';
import { quantity } from '../../output/quantity.ts';
import { isoLocal } from '../../output/relative-time.ts';
import { warn } from '../../output/warning.ts';
import { readSecret } from '../../parse/secret.ts';
import type { Flags } from '../../spec/flags.ts';
import { declareAddresses, declarePlace } from '../start-options.ts';

const PIECE_BYTES = 256 << 10;

export const restore: Verb = {
  declare(command) {
    command
      .argument('<FILE>', 'what swarm cluster backup wrote')
      .option('--key <KEY>', 'Key of the backup: @FILE, or - for standard input');
    declareAddresses(declarePlace(command));
  },
  async run(context, [path], flags) {
    const given = flags.text('key');
    if (given === undefined) throw noKey();
    const key = await readSecret(given, 'key', context.io);
    const file = await openBackup(path!);
    try {
      const total = (await file.stat()).size;
      const daemon = await ensureDaemon(context, flags);
      const counter = new ByteCounter(context.io, 'Restoring:', total);
      try {
        const chunks = chunksOf(restoreRequest(flags, key), file, counter);
        const signal = new AbortController().signal;
        const answer = await daemon.session.upload(LocalService.restore, chunks, signal);
        counter.end();
        say(context, answer);
      } catch (error) {
        counter.end();
        await undoAfter(error, daemon);
        throw error;
      } finally {
        daemon.session.close();
      }
    } finally {
      await file.close();
    }
    return undefined;
  },
};

function restoreRequest(flags: Flags, key: string): RestoreRequest {
  return RestoreRequest.create({
    key,
    advertiseAddress: flags.text('advertise-addr') ?? '',
    listenAddress: flags.text('listen-addr') ?? '',
    publishAddress: flags.text('publish-addr') ?? '',
    allowProcess: flags.is('allow-process'),
    nodeName: flags.text('name') ?? '',
  });
}

type File = Awaited<ReturnType<typeof open>>;

async function openBackup(path: string): Promise<File> {
  try {
    const file = await open(resolve(path), 'r');
    if ((await file.stat()).isFile()) return file;
    await file.close();
    throw Object.assign(new Error('it is no file'), { code: 'EISDIR' });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new SwarmError('INVALID_ARGUMENT', `The backup ${path} cannot be read (${code}).`, {
      cause,
      advice: 'Give the path of a file that you may read.',
    });
  }
}

async function* chunksOf(
  request: RestoreRequest,
  file: File,
  counter: ByteCounter,
): AsyncGenerator<RestoreChunk> {
  yield RestoreChunk.create({ request });
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(PIECE_BYTES), 0, PIECE_BYTES);
    if (bytesRead === 0) return;
    counter.add(bytesRead);
    yield RestoreChunk.create({ data: buffer.subarray(0, bytesRead) });
  }
}

function say(context: Context, answer: RestoreResponse): void {
  const { backup, formerManagers: former, advertiseAddress: address } = answer;
  const of = backup === null ? '' : ` as of ${isoLocal(backup.wallMs)}`;
  const what =
    backup === null
      ? ''
      : ` (${quantity(backup.services, 'service')}, ${quantity(backup.nodes, 'node')})`;
  context.io.out(
    `Cluster ${answer.clusterId.slice(0, 12)} restored${of}${what}: ` +
      `this node (${answer.nodeId.slice(0, 12)}) is its only manager.\n` +
      nextSteps(former, address, answer.workerToken),
  );
  warn(context, answer.warnings);
}

/** What a new cluster of one means for the nodes of the old one. */
export function nextSteps(former: readonly string[], address: string, token: string): string {
  const gone =
    former.length === 0
      ? ''
      : `Managers no more: ${former.join(', ')}. Those that come back become workers; promote them again,\n` +
        'or remove them (swarm node rm --force).\n';
  return (
    `${gone}Workers that know ${address} obey this manager at once; tell others where it is:\n\n` +
    `    swarm start --managers ${address}\n\n` +
    'The join tokens are new:\n\n' +
    `    swarm join --token ${token} ${address}\n`
  );
}

function noKey(): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', '--key is missing.', {
    advice: 'Each backup has a key of its own, shown or written when it was made.',
    command: 'swarm cluster restore FILE --key @KEYFILE',
  });
}

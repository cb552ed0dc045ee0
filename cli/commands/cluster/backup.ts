import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import {
  type BackupChunk,
  BackupRequest,
  type BackupSummary,
  LocalService,
} from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import type { Context } from '../../context.ts';
import { ByteCounter } from '../../output/byte-counter.ts';
import { quantity } from '../../output/quantity.ts';
import { formatBytes } from '../../parse/bytes.ts';
import { warnStale } from '../shared-options.ts';
import { NewFile } from './new-file.ts';

export const backup: Verb = {
  declare(command) {
    command
      .argument('<FILE>', 'the file to make; an existing one is not overwritten')
      .option(
        '--key-file <FILE>',
        'Write the key into this file (mode 0600) instead of showing it',
      );
  },
  async run(context, [path], flags) {
    const keyPath = flags.text('key-file');
    const file = new NewFile(resolve(path!));
    const keyFile = keyPath === undefined ? undefined : new NewFile(resolve(keyPath));
    if (keyFile?.path === file.path) throw sameFile();
    try {
      await file.open();
      await keyFile?.open();
      const session = await context.connect();
      const interrupt = context.io.onInterrupt();
      const chunks = session.stream(LocalService.backup, BackupRequest.create(), interrupt);
      const { key, summary } = await receive(context, file, chunks);
      await verify(file, summary);
      // The key first: a backup without its key is none.
      await keyFile?.write(Buffer.from(`${key}\n`));
      await keyFile?.keep();
      await file.keep();
      warnStale(context, summary.freshness);
      context.io.out(
        report(file.path, summary, keyFile === undefined ? key : undefined, keyFile?.path),
      );
    } finally {
      await file.close();
      await keyFile?.close();
    }
    return undefined;
  },
};

async function receive(
  context: Context,
  file: NewFile,
  chunks: AsyncIterable<BackupChunk>,
): Promise<{ readonly key: string; readonly summary: BackupSummary }> {
  const counter = new ByteCounter(context.io, 'Backing up:');
  let key = '';
  try {
    for await (const chunk of chunks) {
      if (chunk.key !== '') key = chunk.key;
      if (chunk.data.length > 0) {
        await file.write(chunk.data);
        counter.add(chunk.data.length);
      }
      if (chunk.summary !== null && key !== '') return { key, summary: chunk.summary };
    }
  } finally {
    counter.end();
  }
  throw new SwarmError('UNREACHABLE', 'The daemon ended the backup before its end.');
}

/** What was read back from the disk is what the manager sealed, opened and checked. */
async function verify(file: NewFile, summary: BackupSummary): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of file.readBack()) {
    hash.update(piece);
    bytes += piece.length;
  }
  if (bytes === summary.bytes && hash.digest().equals(summary.sha256)) return;
  throw new SwarmError('DAMAGED', `${file.path} does not hold what was written: the disk is bad.`, {
    advice: 'Write the backup to another disk.',
  });
}

function report(
  path: string,
  summary: BackupSummary,
  key: string | undefined,
  keyPath: string | undefined,
): string {
  const { services, nodes, rows, index, bytes } = summary;
  const cluster = `cluster ${summary.clusterId.slice(0, 12)}`;
  const what = [quantity(services, 'service'), quantity(nodes, 'node'), quantity(rows, 'row')];
  const head =
    `Backup of ${cluster} in ${path} (${formatBytes(bytes)}): ` +
    `${what.join(', ')} at index ${index}.\n`;
  if (key === undefined) {
    return (
      `${head}Its key is in ${keyPath}. Keep it elsewhere than the backup; restore with\n\n` +
      `    swarm cluster restore ${path} --key @${keyPath}\n`
    );
  }
  return (
    `${head}Its key is shown this once and kept nowhere:\n\n    ${key}\n\n` +
    `Keep it elsewhere than the backup; restore with\n\n    swarm cluster restore ${path} --key -\n`
  );
}

function sameFile(): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', 'The key cannot be in the file of the backup.', {
    advice: 'Give --key-file another name.',
  });
}

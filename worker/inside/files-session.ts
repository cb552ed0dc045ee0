import type { MountPoint } from '../../proto/containerd.ts';
import { FileStatus, FilesAction } from '../../proto/index.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Io, OpenProcess } from '../io.ts';
import { type FilesSession, RuntimeError } from '../runtime.ts';
import type { InsideCommand } from './dialer.ts';
import type { FilesNote, FilesOrder } from './files.ts';
import { readOnlyMount } from './short-mount.ts';

export const ACTIONS: { readonly [action in FilesAction]: FilesOrder['action'] } = {
  [FilesAction.STAT]: 'stat',
  [FilesAction.READ]: 'read',
  [FilesAction.WRITE]: 'write',
};

/** The helper where a read-only mount is seen by it alone: whatever happens, none is left. */
export function withMount(
  { execPath, args }: InsideCommand,
  full: Pick<MountPoint, 'type' | 'source' | 'options'>,
  place: string,
): InsideCommand {
  const mount = readOnlyMount(full, place);
  const script = ['sh', '-c', `${mount.script} && exec "$@"`, 'sh', ...mount.words];
  const words = ['-m', '--propagation', 'private', ...script, execPath, ...args];
  return { execPath: 'unshare', args: words };
}

/** Starts the helper for one look at, or copy of, files. Resolves when it is known what is there. */
export async function openFiles(
  io: Io,
  command: InsideCommand,
  order: FilesOrder,
): Promise<FilesSession> {
  const process = io.open({
    command: command.execPath,
    args: [...command.args, 'files', JSON.stringify(order)],
    env: { PATH: '/usr/bin:/bin' },
    cwd: '/',
  });
  const notes = new Notes(process);
  const first = await notes.next();
  if (first === undefined || 'error' in first) {
    process.stdin.destroy();
    throw new RuntimeError('IO', first?.error ?? 'the files can not be looked at');
  }
  const stdout = order.action === 'read' && first.file !== null ? process.stdout : undefined;
  const stdin = order.action === 'write' && first.file !== null ? process.stdin : undefined;
  if (stdout === undefined) process.stdout.resume();
  if (stdin === undefined) process.stdin.end();
  const done = finish(process, notes);
  done.catch(() => undefined);
  return {
    file: first.file === null ? undefined : FileStatus.create(first.file),
    stdout,
    stdin,
    done,
    close: () => {
      for (const pipe of [process.stdin, process.stdout, process.notes]) pipe.destroy();
      io.kill(-process.pid, 'SIGKILL');
    },
  };
}

async function finish(process: OpenProcess, notes: Notes): Promise<void> {
  process.stderr.resume();
  const code = await process.exit;
  if (code === 0) return;
  const last = await notes.next();
  const why = last !== undefined && 'error' in last ? last.error : `it ended with ${code}`;
  throw new RuntimeError('IO', why);
}

/** Lines of JSON, one after the other. */
class Notes {
  readonly #lines: AsyncIterator<string>;

  constructor(process: OpenProcess) {
    this.#lines = linesOf(process)[Symbol.asyncIterator]();
  }
  /** Undefined: there will be no more. */
  async next(): Promise<FilesNote | undefined> {
    const { value, done } = await this.#lines.next();
    return done === true ? undefined : (JSON.parse(value) as FilesNote);
  }
}

async function* linesOf(process: OpenProcess): AsyncIterable<string> {
  let text = '';
  try {
    for await (const chunk of process.notes) {
      text += chunk;
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        yield text.slice(0, end);
        text = text.slice(end + 1);
      }
    }
  } catch (error) {
    yield JSON.stringify({ error: messageOf(error) });
  }
}

import { existsSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { posix, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type FileStatus, FilesAction, type FilesRequest, type Init } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { packPlace } from '../../shared/files/pack.ts';
import { Tree } from '../../shared/files/tree.ts';
import { Unpacker } from '../../shared/files/unpack.ts';
import type { Verb } from '../command.ts';
import type { Context } from '../context.ts';
import { formatBytes } from '../parse/bytes.ts';
import type { Session } from '../session.ts';
import type { Flags } from '../spec/flags.ts';
import { TaskTalk } from '../task-talk.ts';

export const cp: Verb = {
  declare(command) {
    command
      .usage(
        '[OPTIONS] TASK:SRC_PATH DEST_PATH|-\n       swarm cp [OPTIONS] SRC_PATH|- TASK:DEST_PATH',
      )
      .argument('<SRC>', 'TASK:PATH, a path, or - for a tar archive on standard input')
      .argument('<DEST>', 'TASK:PATH, a path, or - for a tar archive on standard output')
      .option('-a, --archive', 'With owners and all rights')
      .option('-L, --follow-link', 'What a link at SRC leads to')
      .option('-q, --quiet', 'Say nothing when it is done');
  },
  async run(context, words, flags) {
    const [from = '', to = ''] = words;
    const [source, target] = [parsePlace(from), parsePlace(to)];
    if ((source.task === undefined) === (target.task === undefined)) {
      throw new SwarmError('INVALID_ARGUMENT', 'One side is a task, the other is here.', {
        advice: 'Write the side in the task as TASK:PATH.',
      });
    }
    const session = await context.connect();
    const copy = new Copy(context, session, flags);
    if (source.task !== undefined) await copy.out(source.task, source.path, target.path);
    else await copy.into(source.path, target.task!, target.path);
    if (!flags.is('quiet') && target.path !== '-') {
      context.io.err(`Successfully copied ${formatBytes(copy.bytes)} to ${to}\n`);
    }
    return 0;
  },
};

interface Side {
  readonly task: string | undefined;
  readonly path: string;
}

/** TASK:PATH; what begins with / or . is a path, whatever is in it. */
function parsePlace(text: string): Side {
  const at = text.indexOf(':');
  if (at <= 0 || /^[./]/.test(text)) return { task: undefined, path: text };
  return { task: text.slice(0, at), path: text.slice(at + 1) };
}

/** One copy, by Docker's rules of what becomes of which name. */
class Copy {
  bytes = 0;
  readonly #context: Context;
  readonly #session: Session;
  readonly #flags: Flags;

  constructor(context: Context, session: Session, flags: Flags) {
    this.#context = context;
    this.#session = session;
    this.#flags = flags;
  }

  async out(task: string, path: string, target: string): Promise<void> {
    const talk = this.#talk(task, {
      action: FilesAction.READ,
      path,
      followLink: this.#flags.is('follow-link'),
    });
    try {
      const { file } = await talk.started;
      if (file === null) throw missing(`${task}:${path}`);
      if (target === '-') {
        await pipeline(talk.output, this.#context.io.terminal.output, { end: false });
      } else await this.#unpackHere(talk, file, path, target);
      await talk.ended;
    } finally {
      talk.close();
    }
  }

  async #unpackHere(talk: TaskTalk, file: FileStatus, path: string, to: string): Promise<void> {
    const there = existsSync(to) ? statSync(to) : undefined;
    const contents = path.endsWith('/.') || file.name === '' || file.name === '.';
    const { parent, name } = targetOf({
      directory: file.directory,
      contents,
      name: file.name,
      to: resolve(to),
      endsInSlash: /\/\.?$/.test(to),
      there: there === undefined ? undefined : { directory: there.isDirectory() },
    });
    if (name === '') await mkdir(parent, { recursive: true });
    const unpacker = new Unpacker({
      root: parent,
      directory: '/',
      rename: (entry) => renamed(entry, contents ? '' : file.name, name),
      keepOwner: this.#flags.is('archive'),
      linksInside: { top: name, leftOut: (entry, link) => this.#leftOut(entry, link) },
    });
    try {
      for await (const chunk of talk.output) unpacker.write(chunk as Buffer);
      await talk.ended;
      unpacker.end();
    } finally {
      unpacker.abort();
      this.bytes = unpacker.bytes;
    }
  }
  #leftOut(name: string, target: string): void {
    this.#context.io.err(
      `WARNING: the link ${name} leads out of the copy, to ${target}: it is left out\n`,
    );
  }

  async into(source: string, task: string, path: string): Promise<void> {
    const there = await this.#stat(task, path);
    if (source === '-') {
      if (there?.directory !== true) throw noDirectory(`${task}:${path}`);
      const archive = Readable.from(this.#counted(this.#context.io.terminal.input));
      await this.#send(task, path, archive);
      return;
    }
    const contents = /(^|\/)\.$/.test(source);
    const place = new Tree('/').locate(resolve(source), this.#flags.is('follow-link') || contents);
    try {
      if (place?.stats === undefined) throw missing(source);
      const { parent, name } = targetOf({
        directory: place.stats.isDirectory(),
        contents,
        name: posix.basename(resolve(source)),
        to: path.replace(/\/+\.?$/, '') || '/',
        endsInSlash: /\/\.?$/.test(path),
        there: there === undefined ? undefined : { directory: there.directory },
      });
      const archive = Readable.from(this.#counted(packPlace(place, name)));
      await this.#send(task, parent, archive);
    } finally {
      place?.close();
    }
  }
  async *#counted(
    chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): AsyncIterable<Uint8Array> {
    for await (const chunk of chunks) {
      this.bytes += chunk.length;
      yield chunk;
    }
  }
  async #stat(task: string, path: string): Promise<FileStatus | undefined> {
    const talk = this.#talk(task, { action: FilesAction.STAT, path, followLink: true });
    try {
      return (await talk.started).file ?? undefined;
    } finally {
      talk.close();
    }
  }
  async #send(task: string, directory: string, archive: Readable): Promise<void> {
    const keepOwner = this.#flags.is('archive');
    const talk = this.#talk(task, { action: FilesAction.WRITE, path: directory, keepOwner });
    try {
      if ((await talk.started).file === null) throw noDirectory(`${task}:${directory}`);
      // What fails at the other end says more than that it takes no more.
      const sent = pipeline(archive, talk.input).catch(() => undefined);
      await talk.ended;
      await sent;
    } finally {
      talk.close();
    }
  }
  #talk(task: string, files: Init<FilesRequest>): TaskTalk {
    return new TaskTalk(this.#session, task, { files });
  }
}

interface Naming {
  /** What is copied is one. */
  readonly directory: boolean;
  /** Not the directory itself, but what is in it. */
  readonly contents: boolean;
  readonly name: string;
  readonly to: string;
  readonly endsInSlash: boolean;
  /** What is at the target already. */
  readonly there: { readonly directory: boolean } | undefined;
}

/** Under which name, in which directory it arrives. An empty name: its contents in that directory. */
function targetOf(naming: Naming): { readonly parent: string; readonly name: string } {
  const { directory, contents, name, to, endsInSlash, there } = naming;
  const itself = { parent: posix.dirname(to), name: posix.basename(to) };
  if (there?.directory === true) {
    return { parent: to, name: directory && contents ? '' : name };
  }
  if (there !== undefined) {
    if (directory) throw new SwarmError('PRECONDITION', `${to} is no directory.`);
    if (endsInSlash) throw noDirectory(to);
    return itself;
  }
  if (!directory && endsInSlash) throw noDirectory(to);
  return itself;
}

/** The first part of a name, or nothing, becomes the new one. */
function renamed(entry: string, from: string, to: string): string {
  const rest = from === '' ? entry : entry.slice(from.length).replace(/^\//, '');
  return [to, rest].filter((part) => part !== '').join('/');
}

function missing(what: string): SwarmError {
  return new SwarmError('NOT_FOUND', `There is no ${what}.`, { advice: 'Check the path.' });
}
function noDirectory(what: string): SwarmError {
  return new SwarmError('PRECONDITION', `${what} is no directory.`, {
    advice: 'Create it first, or give the name that the file is to have.',
  });
}

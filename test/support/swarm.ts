import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the checkout, from a source file as well as from a compiled one. */
export const ROOT = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(from: string): string {
  return existsSync(join(from, 'package-lock.json')) ? from : findRoot(dirname(from));
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: { readonly [name: string]: string };
  readonly input?: string | Uint8Array;
  readonly timeoutMs?: number;
  readonly cwd?: string;
  /** Words before the command that run it as somebody else: `setpriv …`. */
  readonly prefix?: readonly string[];
}

/** Runs a program to its end. A time-out ends it and counts as exit code 124. */
export function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const [program, ...words] = [...(options.prefix ?? []), command, ...args];
    const child = spawn(program!, words, {
      env: { ...process.env, ...options.env },
      cwd: options.cwd ?? ROOT,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, options.timeoutMs ?? 120_000);
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code: timedOut ? 124 : (code ?? 1), stdout, stderr });
    });
    // A program that ends without reading its input is no failure of this one.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/** Resolves with its standard output; a failure is the caller's. */
export async function mustRun(command: string, args: readonly string[]): Promise<string> {
  const ran = await run(command, args, { cwd: '/' });
  if (ran.code === 0) return ran.stdout;
  throw new Error(`${command} ${args.join(' ')}: exit ${ran.code}\n${ran.stdout}${ran.stderr}`);
}

/** The bundled command line, as a user runs it. */
export function swarm(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return run(process.execPath, [join(ROOT, 'dist', 'bundle', 'swarm.mjs'), ...args], options);
}

/** Like `swarm`, but a failure is the test's. */
export async function mustSwarm(
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const ran = await swarm(args, options);
  if (ran.code !== 0) {
    throw new Error(`swarm ${args.join(' ')}: exit ${ran.code}\n${ran.stdout}${ran.stderr}`);
  }
  return ran.stdout;
}

/** Rows of a listing with `--format json`: one object a line. */
export async function rows<T>(args: readonly string[], options: RunOptions = {}): Promise<T[]> {
  const text = await mustSwarm([...args, '--format', 'json'], options);
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as T);
}

/** A directory of the test's own; short, since sockets lie in it. */
export function tempDir(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'sw-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }) };
}

/**
 * Asks until `ask` gives something other than undefined. For what no event tells a test about; it
 * ends as soon as the answer is there, and `what` names what was waited for.
 */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 30_000,
): Promise<T> {
  const endMs = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = error;
    }
    if (performance.now() > endMs) {
      const why = last instanceof Error ? `, last: ${last.message}` : '';
      throw new Error(`waited ${timeoutMs} ms for ${what}${why}`, { cause: last });
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** One GET on a connection of its own. */
export function get(host: string, port: number, path = '/', timeoutMs = 5_000): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ host, port, path, agent: false, timeout: timeoutMs }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    call.on('error', reject);
    call.end();
  });
}

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { parseReference } from '../../shared/distribution/reference.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { Io } from '../io.ts';

/** Docker's own name for Docker Hub in its list of logins. */
const HUB_KEY = 'https://index.docker.io/v1/';
const HELPER_MS = 20_000;

export interface DockerLogin {
  readonly host: string;
  /** "<token>": the password is an identity token. */
  readonly username: string;
  readonly password: string;
}

interface DockerConfig {
  readonly auths?: { readonly [host: string]: StoredAuth };
  readonly credHelpers?: { readonly [host: string]: string };
  readonly credsStore?: string;
}
interface StoredAuth {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
}

/**
 * The login that `docker login` left for the registry of `image`: from `config.json`, or from the
 * credential helper that it names. Undefined: there is none.
 */
export async function dockerLogin(io: Io, image: string): Promise<DockerLogin | undefined> {
  const { host } = parseReference(image);
  const config = await readConfig(io);
  const keys =
    host === 'docker.io' ? [HUB_KEY, 'docker.io', 'index.docker.io'] : [host, `https://${host}`];
  const [key] = keys;
  const helper = config.credHelpers?.[host] ?? config.credsStore;
  const told = helper === undefined ? undefined : await askHelper(io, helper, key!);
  const stored = keys.map((each) => config.auths?.[each]).find((auth) => auth !== undefined);
  const found = told ?? (stored && loginOf(stored));
  return found && { host, ...found };
}

async function readConfig(io: Io): Promise<DockerConfig> {
  const directory = io.env['DOCKER_CONFIG'] || join(io.env['HOME'] ?? '/root', '.docker');
  const path = join(directory, 'config.json');
  const text = await io.readFile(path).catch(() => '{}');
  try {
    return JSON.parse(text) as DockerConfig;
  } catch {
    throw new SwarmError('INVALID_ARGUMENT', `Docker's ${path} is not JSON.`, {
      advice: 'Leave --with-registry-auth out, or log in again: docker login.',
    });
  }
}

function loginOf(stored: StoredAuth): Omit<DockerLogin, 'host'> | undefined {
  if (stored.identitytoken) return { username: '<token>', password: stored.identitytoken };
  const decoded = Buffer.from(stored.auth ?? '', 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  const username = colon > 0 ? decoded.slice(0, colon) : (stored.username ?? '');
  const password = colon > 0 ? decoded.slice(colon + 1) : (stored.password ?? '');
  return username === '' || password === '' ? undefined : { username, password };
}

/** Helpers answer in JSON; one that has nothing for this registry ends with an error. */
function askHelper(
  io: Io,
  name: string,
  key: string,
): Promise<Omit<DockerLogin, 'host'> | undefined> {
  if (!/^[\w.-]+$/.test(name)) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const options = { env: io.env as NodeJS.ProcessEnv, timeout: HELPER_MS };
    const child = execFile(`docker-credential-${name}`, ['get'], options, (error, output) => {
      if (error) return resolve(undefined);
      try {
        const { Username = '', Secret = '' } = JSON.parse(output) as { [key: string]: string };
        resolve(Username && Secret ? { username: Username, password: Secret } : undefined);
      } catch {
        resolve(undefined);
      }
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(key);
  });
}

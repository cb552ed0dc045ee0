import { chownSync } from 'node:fs';
import { type RunOptions, tempDir } from './swarm.ts';

/** Somebody who types the commands of a test. */
export interface Person {
  readonly name: string;
  readonly uid: number;
  readonly options: RunOptions;
  /** Flags of `service create` for whoever must name a user. */
  readonly user: readonly string[];
  /** A temporary directory of this person's own. */
  tempDir(): { readonly path: string; remove(): void };
  /** Removes the home that was made for this person. */
  remove(): void;
}

const NOBODY = 65_534;

/** Who runs the tests; root runs them as root. */
export function whoRuns(): Person {
  const uid = process.getuid?.() ?? 0;
  return {
    name: uid === 0 ? 'root' : 'an ordinary user',
    uid,
    options: {},
    user: uid === 0 ? ['--user', 'root'] : [],
    tempDir,
    remove: () => undefined,
  };
}

/** An ordinary user with a home of its own: who runs the tests, or somebody else where that is root. */
export function ordinaryUser(): Person {
  const self = whoRuns();
  if (self.uid !== 0) return self;
  const own = (): { readonly path: string; remove(): void } => {
    const made = tempDir();
    chownSync(made.path, NOBODY, NOBODY);
    return made;
  };
  const home = own();
  const as = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
  return {
    name: 'an ordinary user',
    uid: NOBODY,
    options: {
      prefix: as,
      cwd: home.path,
      env: { HOME: home.path, USER: 'nobody', XDG_RUNTIME_DIR: '', SUDO_UID: '' },
    },
    user: [],
    tempDir: own,
    remove: () => home.remove(),
  };
}

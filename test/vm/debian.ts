import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, tempDir } from '../support/swarm.ts';
import { debianRoot } from './debootstrap.ts';
import { runInRoot } from './other-root.ts';

/** Those with another containerd than Debian 12, oldest first. */
export const RELEASES: readonly string[] = ['trixie', 'sid'];
const TESTS = ['test/integration/containers'];
/** What tests use besides Node.js and what `deploy/install-deps --test` installs. */
const PACKAGES = ['procps', 'kmod', 'libstdc++6'];
/** Their versions are what another release has of its own. */
const VERSIONS = [
  'containerd --version',
  'runc --version | head -n 1',
  'dockerd --version',
  'nft --version',
  'ip -V',
];

/**
 * Runs tests of this build with the programs of other releases of Debian, on the kernel of this machine:
 * `deploy/install-deps` installs them into a root of their own. `args`: a release, and files or folders
 * of tests; none: the tests of containers on all that have another containerd.
 */
export async function debian([one, ...tests]: readonly string[]): Promise<void> {
  const failed: string[] = [];
  for (const release of one === undefined ? RELEASES : [one]) {
    const code = await runTests(release, tests.length === 0 ? TESTS : tests);
    if (code !== 0) failed.push(release);
  }
  if (failed.length > 0) throw new Error(`tests failed on ${failed.join(', ')}`);
}

/** Where the root file system of a release is that has everything the tests use. */
export function releaseRoot(release: string): Promise<string> {
  const name = `swarm-vm-${release}`;
  return debianRoot({ name, release, packages: PACKAGES, furnish: installDeps });
}

async function runTests(release: string, tests: readonly string[]): Promise<number> {
  const root = await releaseRoot(release);
  console.log(`\nDebian ${release}:`);
  const directory = tempDir();
  try {
    const main = `import { runTests } from '${ROOT}/deploy/test.mjs';
      process.exitCode = await runTests('${ROOT}', ${JSON.stringify(tests)});`;
    writeFileSync(join(directory.path, 'main.mjs'), main);
    return await runInRoot(root, {
      places: {
        '/tmp': directory.path,
        [ROOT]: ROOT,
        '/usr/local/bin/node': process.execPath,
      },
      // Whose parent has ended is waited for, as by every first process of a machine.
      script: [...VERSIONS, 'exec tini-static -- node /tmp/main.mjs'],
    });
  } finally {
    directory.remove();
  }
}

async function installDeps(root: string): Promise<void> {
  writeFileSync(join(root, 'etc', 'hosts'), '127.0.0.1 localhost\n::1 localhost\n');
  cpSync(join(ROOT, 'deploy', 'install-deps'), join(root, 'root', 'install-deps'));
  const code = await runInRoot(root, { script: ['sh /root/install-deps --test'] });
  if (code !== 0) throw new Error(`install-deps: exit ${code}`);
}

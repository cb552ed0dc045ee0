import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ImageParts, TarEntry } from '../../../shared/distribution/image.fixture.ts';
import { ROOT } from '../swarm.ts';

/** An image with this Node.js, the libraries that it needs, and the example service. */
export function nodeImage(): ImageParts {
  const hello = join(ROOT, 'deploy', 'examples', 'hello', 'hello.mjs');
  const files = new Map<string, string>([
    ['/app/hello.mjs', hello],
    ['/bin/node', process.execPath],
    ...librariesOf(process.execPath).map((path) => [path, path] as const),
  ]);
  const directories = new Set([...files.keys()].flatMap((path) => parents(path)));
  const layer: TarEntry[] = [
    ...[...directories]
      .sort()
      .map((path) => ({ name: `${path.slice(1)}/`, type: 'directory' as const })),
    ...[...files].map(([path, source]) => ({
      name: path.slice(1),
      content: readFileSync(source),
    })),
  ];
  return { layers: [layer], config: { Cmd: ['/bin/node', '/app/hello.mjs'] } };
}

/** As the loader of this machine finds them. */
function librariesOf(program: string): readonly string[] {
  const { stdout } = spawnSync('ldd', [program], { encoding: 'utf8' });
  return [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1]!);
}

function parents(path: string): readonly string[] {
  const parent = dirname(path);
  return parent === '/' ? [] : [...parents(parent), parent];
}

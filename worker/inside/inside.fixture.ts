import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { InsideCommand } from './dialer.ts';

/** For tests: the helper, compiled or as it is written. */
export function insideCommand(): InsideCommand {
  const here = fileURLToPath(import.meta.url);
  const extension = here.slice(here.lastIndexOf('.'));
  const script = join(dirname(here), `main${extension}`);
  const flags = extension === '.ts' ? ['--import', 'tsx'] : [];
  return { execPath: process.execPath, args: [...flags, script] };
}

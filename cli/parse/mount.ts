import type { Init, Mount } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { parseBytes } from './bytes.ts';
import { invalid } from './invalid.ts';
import { parseFields, parseLabel } from './key-value.ts';
import { parseBoolean } from './number.ts';

const OPTIONS = [
  'consistency',
  'bind-propagation',
  'bind-recursive',
  'bind-create-src',
  'volume-driver',
  'volume-nocopy',
  'volume-subpath',
  'tmpfs-size',
  'tmpfs-mode',
];

/** Docker's `--mount type=…,source=…,target=…[,readonly]`. What it means is the server's to judge. */
export function parseMount(flag: string, text: string): Init<Mount> & { readonly target: string } {
  let type = 'volume';
  let source = '';
  let target = '';
  let readOnly = false;
  const options: { [key: string]: string } = {};
  for (const [key, value] of parseFields(flag, text)) {
    if (key === 'type') type = value;
    else if (key === 'source' || key === 'src') source = value;
    else if (key === 'target' || key === 'dst' || key === 'destination') target = value;
    else if (key === 'readonly' || key === 'ro')
      readOnly = value === '' || parseBoolean(flag, value);
    else if (key === 'volume-opt' || key === 'volume-label') {
      const [name, option] = parseLabel(flag, value);
      options[`${key}:${name}`] = option;
    } else if (key === 'tmpfs-size') options[key] = String(parseBytes(flag, value));
    else if (OPTIONS.includes(key)) options[key] = value;
    else throw invalid(flag, key, `type, source, target, readonly, ${OPTIONS.join(', ')}`);
  }
  if (target === '')
    throw new SwarmError('INVALID_ARGUMENT', `${flag} "${text}" has no target=PATH.`);
  return { type, source, target, readOnly, options };
}

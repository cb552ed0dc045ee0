import type { Init, NetworkAttachmentSpec } from '../../proto/index.ts';
import { invalid } from './invalid.ts';
import { parseFields, parseLabel } from './key-value.ts';

/** `--network NAME` or `name=NAME,alias=A,driver-opt=K=V`. */
export function parseNetwork(
  flag: string,
  text: string,
): Init<NetworkAttachmentSpec> & { readonly target: string } {
  if (!text.includes('=')) return { target: text };
  let target = '';
  const aliases: string[] = [];
  const driverOptions: { [key: string]: string } = {};
  for (const [key, value] of parseFields(flag, text)) {
    if (key === 'name') target = value;
    else if (key === 'alias') aliases.push(value);
    else if (key === 'driver-opt') {
      const [name, option] = parseLabel(flag, value);
      driverOptions[name] = option;
    } else throw invalid(flag, key, 'name, alias or driver-opt');
  }
  if (target === '') throw invalid(flag, text, 'NAME or name=NAME');
  return { target, aliases, driverOptions };
}

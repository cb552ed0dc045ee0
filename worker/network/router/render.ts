import { type Batch, type Item, type Line, type Table, tableWords } from './items.ts';
import { type Command, HOST, namespace, type Place, script } from './netcmd.ts';

/** The text of a batch: elements of one set of nftables stand together. */
export function batchText(lines: readonly Line[], verb: 'add' | 'delete'): string {
  const out: string[] = [];
  const sets = new Map<string, string[]>();
  for (const { line, set } of lines) {
    if (set === undefined) {
      out.push(line);
      continue;
    }
    const elements = sets.get(set);
    if (elements) elements.push(line);
    else sets.set(set, [line]);
  }
  for (const [set, elements] of sets) out.push(`${verb} element ${set} { ${elements.join(', ')} }`);
  return out.length === 0 ? '' : `${out.join('\n')}\n`;
}

/** The program that a batch is for; nothing for one that holds no line. */
export function batchCommand(
  batch: Exclude<Batch, 'tasks'>,
  router: string,
  text: string,
): Command {
  const inRouter = namespace(router);
  const made = (place: Place, program: Command['program'], args: readonly string[]): Command => ({
    place,
    program,
    args,
    input: text,
  });
  switch (batch) {
    case 'host-links':
      return made(HOST, 'ip', ['-force', '-batch', '-']);
    case 'tunnel':
      return script(HOST, `set -e\n${text}`);
    case 'router':
      return made(inRouter, 'ip', ['-force', '-batch', '-']);
    case 'router6':
      return made(inRouter, 'ip', ['-6', '-force', '-batch', '-']);
    case 'router-bridge':
      return made(inRouter, 'bridge', ['-force', '-batch', '-']);
    case 'router-nft':
      return made(inRouter, 'nft', ['-f', '-']);
    case 'host-nft':
      return made(HOST, 'nft', ['-f', '-']);
  }
}

/** Replaces a whole table in one step: what it had is gone, what flows goes on. */
export function tableReplacement(table: Table, structure: string, items: Iterable<Item>): string {
  const words = tableWords(table);
  const batch = table.place === 'router' ? 'router-nft' : 'host-nft';
  const own = [...items].filter(
    ({ make, id }) => make.batch === batch && id.split(' ', 3).slice(1).join(' ') === words,
  );
  own.sort((a, b) => a.step - b.step);
  const lines = own.map(({ make }) => make);
  return `table ${words}\ndelete table ${words}\n${structure}\n${batchText(lines, 'add')}`;
}

import { type Command, Option } from 'commander';
import { OPTION_GROUPS, type OptionRow } from './option-table.ts';

/** Declares the service flags on a command: as they are for create, as -add / -rm pairs for update. */
export function declareServiceOptions(command: Command, form: 'create' | 'update'): void {
  for (const group of OPTION_GROUPS) {
    for (const row of group.rows) {
      if (row.only !== undefined && row.only !== form) continue;
      for (const option of optionsOf(row, form)) command.addOption(option.helpGroup(group.title));
    }
  }
}

function optionsOf(row: OptionRow, form: 'create' | 'update'): readonly Option[] {
  if (row.off)
    return [option(row, row.name, row.value, row.text), new Option(`--no-${row.name}`).hideHelp()];
  if (row.rm === undefined || form === 'create')
    return [option(row, row.name, row.value, row.text)];
  return [
    option(row, `${row.name}-add`, row.value, `${row.text}: add or change`),
    option(row, `${row.name}-rm`, row.rm, `${row.text.split(': ')[0]}: remove`),
  ];
}

function option(row: OptionRow, name: string, value: string | undefined, text: string): Option {
  const short = row.short === undefined || name.endsWith('-rm') ? '' : `-${row.short}, `;
  const made = new Option(`${short}--${name}${value === undefined ? '' : ` <${value}>`}`, text);
  return row.repeat ? made.argParser(collect) : made;
}

/** Gathers a repeated flag. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

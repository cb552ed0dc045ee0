import type { Command } from 'commander';

const WORDS: { readonly [word: string]: boolean } = {
  true: true,
  t: true,
  '1': true,
  false: false,
  f: false,
  '0': false,
};

/**
 * Docker's `--tty=false`, which commander does not know of switches: it becomes `--no-tty` where `command`
 * has that. Words of a task's own command, behind the first operand, are left as they are.
 */
export function withSwitches(
  argv: readonly string[],
  path: number,
  command: Command,
): readonly string[] {
  const out: string[] = [];
  const takesCommand = command.registeredArguments.at(-1)?.variadic === true;
  for (let at = 0, words = 0; at < argv.length; at++) {
    const arg = argv[at]!;
    if (arg === '--') return [...out, ...argv.slice(at)];
    if (!arg.startsWith('-') && ++words > path && takesCommand) return [...out, ...argv.slice(at)];
    const [, name, value] = /^(--[a-z-]+)=(\w+)$/.exec(arg) ?? [];
    const negated = `--no-${name?.slice(2)}`;
    const known = name !== undefined && command.options.some(({ long }) => long === negated);
    const on = known ? WORDS[value!.toLowerCase()] : undefined;
    out.push(on === undefined ? arg : on ? name! : negated);
    const option = command.options.find(({ long, short }) => arg === long || arg === short);
    if (option?.required && at + 1 < argv.length) out.push(argv[++at]!);
  }
  return out;
}

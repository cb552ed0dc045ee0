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
 * Docker's `--tty=false`, which commander does not know of switches: it becomes `--no-tty` where
 * `command` has that, else it is left out: what nobody switches on is off. Words of a task's own
 * command, behind the first operand, are left as they are.
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
    const on = isSwitch(command, name) ? WORDS[value!.toLowerCase()] : undefined;
    if (on === undefined) out.push(arg);
    else out.push(...(on ? [name!] : turnedOff(command, name!)));
    const option = command.options.find(({ long, short }) => arg === long || arg === short);
    if (option?.required && at + 1 < argv.length) out.push(argv[++at]!);
  }
  return out;
}

function turnedOff(command: Command, name: string): readonly string[] {
  const negated = `--no-${name.slice(2)}`;
  return command.options.some(({ long }) => long === negated) ? [negated] : [];
}

/** Whether `name` is an option that takes no value. */
function isSwitch(command: Command, name: string | undefined): boolean {
  return command.options.some((o) => o.long === name && !o.required && !o.optional);
}

/**
 * Lines that depend on how Go prints a struct, and nothing else. Applied to what a script expects
 * and to what came out; every other byte is compared as it stands.
 */

interface Rule {
  readonly why: string;
  readonly apply: (line: string) => string;
}

const RULES: readonly Rule[] = [
  {
    // Protobuf's text form puts one blank or two between fields, at random for each build; before
    // 2026 the same line was printed with %v as {Transition [{Type id}] []}.
    why: 'a configuration change that is refused is printed as a Go struct',
    apply: (line) => {
      const match = /^(.* ignoring conf change )(.*)( at config .*)$/.exec(line);
      if (match === null) return line;
      return `${match[1]}${canonicalChange(match[2]!)}${match[3]}`;
    },
  },
];

function canonicalChange(text: string): string {
  const old = /^\{(\w+) \[(.*?)\](?: \[.*\])?\}$/.exec(text.trim());
  if (old === null) return text.trim().replace(/ +/g, ' ');
  const changes = [...old[2]!.matchAll(/\{(\w+) (\d+)\}/g)];
  const parts = changes.map((m) => `changes:{type:${m[1]} node_id:${m[2]}}`);
  return [`transition:${old[1]}`, ...parts].join(' ');
}

export function normalise(text: string): string {
  if (!text.includes('ignoring conf change')) return text;
  return text
    .split('\n')
    .map((line) => RULES.reduce((l, rule) => rule.apply(l), line))
    .join('\n');
}

export function normalisationReasons(): readonly string[] {
  return RULES.map((rule) => rule.why);
}

import { Placement } from '../../proto/index.ts';
import { invalid } from '../parse/invalid.ts';
import { parseWhole } from '../parse/number.ts';
import type { Flags } from './flags.ts';
import { changeList } from './list-change.ts';

/** `--constraint`, `--placement-pref`, `--replicas-max-per-node`. */
export function changePlacement(current: Placement | null, flags: Flags): Placement | null {
  const typed = ['constraint', 'placement-pref'].some((name) => flags.changes(name));
  if (!typed && !flags.has('replicas-max-per-node')) return current;
  const base = current ?? Placement.create();
  return Placement.with(base, {
    constraints: changeList(
      base.constraints,
      flags.added('constraint').map(constraint),
      flags.removed('constraint').map(constraint),
      (text) => text,
    ),
    spread: changeList(
      base.spread,
      flags.added('placement-pref').map(spread),
      flags.removed('placement-pref').map(spread),
      (text) => text,
    ),
    maxReplicasPerNode: flags.or('replicas-max-per-node', base.maxReplicasPerNode, (f, t) =>
      parseWhole(f, t),
    ),
  });
}

/** One spelling for each constraint, so that `--constraint-rm` finds what was added with spaces. */
function constraint(text: string): string {
  const match = /^\s*([^\s=!]+)\s*(==|!=)\s*(.*?)\s*$/.exec(text);
  if (match === null)
    throw invalid('--constraint', text, 'KEY==VALUE or KEY!=VALUE, such as node.labels.zone==a');
  return `${match[1]}${match[2]}${match[3]}`;
}

function spread(text: string): string {
  const match = /^spread=(\S+)$/.exec(text.trim());
  if (match === null) throw invalid('--placement-pref', text, 'spread=node.labels.KEY');
  return match[1]!;
}

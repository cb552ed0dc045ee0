import { NodeLabel, type PortConfig } from '../../proto/index.ts';
import { parsePortBind } from '../../shared/port-bind.ts';
import type { View } from '../store/view.ts';

/** Labels that these ports are bound to, without doubles. */
export function labelsOf(ports: readonly PortConfig[]): readonly string[] {
  const keys = ports.flatMap(({ bind }) => {
    const parsed = parsePortBind(bind);
    return parsed?.kind === 'label' ? [parsed.key] : [];
  });
  return [...new Set(keys)];
}

/** What these labels say on each node that has one: nodes do not know their labels themselves. */
export function boundLabels(view: View, ports: readonly PortConfig[]): readonly NodeLabel[] {
  const keys = labelsOf(ports);
  if (keys.length === 0) return [];
  const nodes = [...view.table('node').all()].sort((a, b) => (a.id < b.id ? -1 : 1));
  return nodes.flatMap((node) =>
    keys.flatMap((key) => {
      const value = node.labels[key];
      return value === undefined || value === ''
        ? []
        : [NodeLabel.create({ nodeId: node.id, key, value })];
    }),
  );
}

import { ServiceMode, type ServiceSpec } from '../../proto/index.ts';
import { fillPlaceholders } from '../../shared/placeholders.ts';
import type { View } from '../store/view.ts';

/**
 * A named volume has its contents on one node. Tasks of replicated services that name it run only
 * where it is; where no node has it yet they may run anywhere, and make it there. A global service has
 * one on each node.
 */
export type Homes =
  | {
      /** Nodes that have all of the volumes that exist. */
      readonly nodes: ReadonlySet<string>;
      /** "volume data is on n1" */
      readonly text: string;
    }
  | undefined;

/** Names of volumes as the spec has them: with placeholders. */
export function volumeSources(spec: ServiceSpec): readonly string[] {
  const mounts = spec.task?.container?.mounts ?? [];
  return mounts
    .filter(({ type, source }) => type === 'volume' && source !== '')
    .map(({ source }) => source);
}

/** Those that tie a task of this slot to a node: what is named after a node or a task ties nothing. */
export function tyingVolumes(
  spec: ServiceSpec,
  sources: readonly string[],
  serviceId: string,
  slot: number,
): readonly string[] {
  if (spec.mode !== ServiceMode.REPLICATED) return [];
  return sources.flatMap((source) => {
    let ties = true;
    const name = fillPlaceholders(
      source,
      (placeholder) => {
        if (placeholder === '.Service.ID') return serviceId;
        if (placeholder === '.Service.Name') return spec.name;
        if (placeholder === '.Task.Slot') return String(slot);
        ties = false;
        return '';
      },
      (key) => spec.labels[key] ?? '',
    );
    return ties ? [name] : [];
  });
}

/** Undefined: none of them exists. */
export function homesOf(view: View, names: readonly string[]): Homes {
  let nodes: Set<string> | undefined;
  const texts: string[] = [];
  for (const name of names) {
    const holders = [...view.table('nodeVolumes').by('name', name)].map(({ id }) => id);
    if (holders.length === 0) continue;
    const before = nodes;
    nodes = new Set(before === undefined ? holders : holders.filter((id) => before.has(id)));
    texts.push(`volume ${name} is on ${nodeNames(view, holders)}`);
  }
  return nodes === undefined ? undefined : { nodes, text: texts.join(', ') };
}

const NAMES_MAX = 3;

function nodeNames(view: View, ids: readonly string[]): string {
  const names = ids.map((id) => view.table('node').get(id)?.name ?? id).sort();
  const more = names.length > NAMES_MAX ? ` and ${names.length - NAMES_MAX} more` : '';
  return names.slice(0, NAMES_MAX).join(', ') + more;
}

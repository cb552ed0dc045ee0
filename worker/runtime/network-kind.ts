import type { AssignedTask } from '../../proto/index.ts';

/** own: a namespace that the node connects; host: the host's; none: one that nothing leads to. */
export type NetworkKind = 'own' | 'host' | 'none';

/** What network namespace a container has. The managers let host and none stand alone only. */
export function networkKind(task: Pick<AssignedTask, 'spec'>): NetworkKind {
  const target = task.spec?.networks[0]?.target;
  return target === 'host' || target === 'none' ? target : 'own';
}

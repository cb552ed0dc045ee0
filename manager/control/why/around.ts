import type { Task, TaskStatus } from '../../../proto/index.ts';
import type { View } from '../../store/view.ts';
import type { Explain } from '../deps.ts';

/** What an answer is looked for in. */
export interface Around {
  readonly view: View;
  readonly nowMs: number;
  readonly explain: Explain;
  /** The newest word about a task, also what is told for people alone. */
  readonly statusOf: (task: Task) => TaskStatus | undefined;
  /** Up to which index a node's load balancing is in effect; absent where that is not known. */
  readonly settledIndex?: (nodeId: string) => number | undefined;
}

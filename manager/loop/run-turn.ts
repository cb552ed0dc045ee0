import type { Draft } from '../store/view.ts';
import { allocatorStage } from './allocator/allocator.ts';
import { keepAddresses } from './nodes/held.ts';
import { nodesStage } from './nodes/nodes.ts';
import { orchestratorStage } from './orchestrator/orchestrator.ts';
import { reaperStage } from './reaper/reaper.ts';
import type { FittingNodes } from './scheduler/filters.ts';
import { schedulerStage } from './scheduler/scheduler.ts';
import { Turn, type TurnInput, type TurnResult } from './turn.ts';

/**
 * One turn: the stages in their order over one draft. Synchronous, and without effect on anything
 * but the draft, so that it may run again.
 */
export function runTurn(draft: Draft, input: TurnInput, fitting: FittingNodes): TurnResult {
  const turn = new Turn(draft, input);
  input.index.begin();
  input.addresses.begin();
  try {
    nodesStage(turn);
    orchestratorStage(turn);
    allocatorStage(turn);
    turn.openSecondHalf();
    schedulerStage(turn, fitting);
    reaperStage(turn);
    keepAddresses(turn);
  } finally {
    input.addresses.rollback();
    input.index.rollback();
  }
  return { left: turn.left, wakes: turn.wakes };
}

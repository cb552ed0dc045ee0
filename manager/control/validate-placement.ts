import { type Placement, ServiceMode } from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import { CONSTRAINT_KEYS, strictConstraint } from './constraint.ts';
import { check, invalid } from './field.ts';

const SPREAD = /^(node|engine)\.labels\.[^\s]+$/;

export function validatePlacement(placement: Placement, mode: ServiceMode): void {
  const { constraints, spread, maxReplicasPerNode } = placement;
  check(
    constraints.length <= LIMITS.constraintsMax,
    'placement.constraints',
    `${constraints.length} constraints`,
    `at most ${LIMITS.constraintsMax}`,
  );
  for (const text of constraints) validateConstraint(text);
  for (const text of spread)
    check(
      SPREAD.test(text),
      'placement.spread',
      `"${text}" is no spread preference`,
      'node.labels.KEY or engine.labels.KEY',
    );
  const replicated = mode === ServiceMode.REPLICATED || mode === ServiceMode.REPLICATED_JOB;
  check(
    maxReplicasPerNode === 0 || replicated,
    'placement.max_replicas_per_node',
    'a global service has one task on each node',
    'only with replicated services',
  );
}

function validateConstraint(text: string): void {
  if (strictConstraint(text) !== undefined) return;
  const single = /^\s*([\w.\-/]+)\s*=\s*([^=\s].*)$/.exec(text);
  const hint = single ? `; did you mean ${single[1]}==${single[2]}?` : '';
  throw invalid(
    'placement.constraints',
    `"${text}" is no constraint${hint}`,
    `KEY==VALUE or KEY!=VALUE with KEY one of ${CONSTRAINT_KEYS.join(', ')}`,
  );
}

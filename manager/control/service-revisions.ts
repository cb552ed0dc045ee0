import { Service, ServiceRevision, type ServiceSpec } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import { revisionKey } from '../store/schema.ts';
import type { Draft, View } from '../store/view.ts';
import { serviceName } from './specs.ts';

/** Newest first. */
export function revisionsOf(view: View, serviceId: string): ServiceRevision[] {
  const rows = [...view.table('serviceRevision').by('service', serviceId)];
  return rows.sort((a, b) => b.revision - a.revision);
}

/** Makes `spec` the service's next revision and lets go of those beyond the 20 that are kept. */
export function putRevision(
  draft: Draft,
  service: Service,
  spec: ServiceSpec,
  note: string,
): Service {
  const revision = service.revision + 1;
  const updated = Service.with(service, { spec, revision, updatedWallMs: draft.wallMs });
  draft.put('service', updated);
  draft.put(
    'serviceRevision',
    ServiceRevision.with(
      ServiceRevision.create({
        id: revisionKey(service.id, revision),
        serviceId: service.id,
        revision,
        createdWallMs: draft.wallMs,
        note,
      }),
      { spec },
    ),
  );
  forgetOldRevisions(draft, updated);
  return updated;
}

/** A revision that a task was made from, or that a rollout may go back to, stays for as long. */
function forgetOldRevisions(draft: Draft, service: Service): void {
  const old = revisionsOf(draft, service.id).filter(
    (row) => row.revision <= service.revision - LIMITS.revisionsKept,
  );
  if (old.length === 0) return;
  const state = draft.table('serviceState').get(service.id);
  const used = new Set([
    state?.runningRevision,
    state?.stableRevision,
    state?.rollout?.fromRevision,
    state?.rollout?.toRevision,
  ]);
  for (const task of draft.table('task').by('service', service.id)) used.add(task.revision);
  for (const row of old) if (!used.has(row.revision)) draft.delete('serviceRevision', row.id);
}

/** The revision that a rollback goes to; 0 means the one before, so that twice is forward again. */
export function rollbackTarget(view: View, service: Service, toRevision: number): ServiceRevision {
  const kept = revisionsOf(view, service.id).filter((row) => row.revision !== service.revision);
  const wanted = toRevision === 0 ? service.revision - 1 : toRevision;
  const found = kept.find((row) => row.revision === wanted);
  if (found?.spec) return found;
  const name = serviceName(service);
  if (toRevision === service.revision)
    throw new SwarmError('PRECONDITION', `${name} is at revision ${toRevision} already`, {
      command: `swarm service history ${name}`,
    });
  if (kept.length === 0)
    throw new SwarmError('NOT_FOUND', `${name} has never been changed: nothing to go back to`, {
      advice: 'Each change of its spec makes a revision; then there is one before it.',
      command: `swarm service history ${name}`,
    });
  const there = kept.map((row) => row.revision).join(', ');
  throw new SwarmError('NOT_FOUND', `${name} has no revision ${wanted}: there are ${there}`, {
    advice: 'Choose one of its history.',
    command: `swarm service history ${name}`,
  });
}

import type { Random } from '../../shared/random.ts';
import type { Clients } from './cluster/clients.ts';
import type { EventWatcher } from './cluster/event-watcher.ts';
import type { Machine, World } from './cluster/machine.ts';
import type { ManagerProcess } from './cluster/manager-process.ts';
import type { Managers } from './cluster/managers.ts';
import type { Operator } from './cluster/operator.ts';
import type { Secrets } from './cluster/secrets.ts';
import type { Services } from './cluster/services.ts';
import type { SimAgent } from './cluster/sim-agent.ts';
import type { Profile } from './profiles.ts';
import type { Schedule } from './schedule.ts';

/** All that there is in one run. */
export interface Stage {
  readonly world: World;
  readonly secrets: Secrets;
  readonly managers: Managers;
  readonly agents: readonly SimAgent[];
  readonly services: Services;
  readonly clients: Clients;
  readonly operator: Operator;
  readonly watcher: EventWatcher;
  readonly schedule: Schedule;
  readonly profile: Profile | undefined;
  readonly random: Random;
}

/** Where everybody stands: for whoever reads a finding. */
export function describe({ managers, agents, services }: Stage): string {
  const leader = managers.leader();
  const lines = [
    leader && agents.length > 0 ? services.problem(leader) : '',
    `leader ${leader?.raftId}`,
    ...managers.machines.map(describeMachine),
    ...(leader ? describeMembers(leader) : []),
    ...agents.map((agent) => `${agent.nodeId} ${agent.isConnected ? 'on' : 'off'}`),
    ...(leader ? describeServices(leader) : []),
    ...(leader ? describeTasks(leader) : []),
  ];
  return lines.filter((line) => line !== '').join('; ');
}

function describeMachine({ number, process, raftId, isSpoilt }: Machine): string {
  const head = `${number}: ${raftId}${isSpoilt ? ' spoilt' : ''}`;
  if (!process?.isReady) return `${head} ${process ? 'opening' : 'down'}`;
  const { state, term } = process.driver.status();
  const { voters } = process.confState;
  return `${head} epoch ${process.epoch} applied ${process.appliedIndex} ${state} term ${term} [${voters}]`;
}

function describeMembers({ store: { view } }: ManagerProcess): string[] {
  return [...view.table('member').all()].map(
    ({ id, raftId, phase, message }) => `${id} ${raftId} ${phase} ${message}`,
  );
}

function describeServices({ store: { view } }: ManagerProcess): string[] {
  return [...view.table('service').all()].map((service) => {
    const state = view.table('serviceState').get(service.id);
    const { replicas, name } = service.spec!;
    const rollout = `${state?.rollout?.state} ${state?.rollout?.message}`;
    const runs = `runs r${state?.runningRevision} ${rollout} ${state?.quarantine}`;
    return `${name} ${service.id.slice(0, 3)} r${service.revision} x${replicas} ${runs}`;
  });
}

function describeTasks({ store: { view } }: ManagerProcess): string[] {
  return [...view.table('task').all()].map((task) => {
    const status = view.table('taskStatus').get(task.id);
    const name = `${task.serviceId.slice(0, 3)}.${task.slot}@${task.nodeId}`;
    return `${name} r${task.revision} ${task.desiredState}/${status?.state} ${task.pendingReason}`;
  });
}

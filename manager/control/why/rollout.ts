import {
  type Reason,
  RolloutState,
  type Service,
  type ServiceState,
} from '../../../proto/index.ts';
import { serviceName } from '../specs.ts';
import { why } from './reason.ts';

/** What a rollout that stands, or goes on, means; undefined: there is nothing to say. */
export function whyRollout(service: Service, state: ServiceState | undefined): Reason | undefined {
  const rollout = state?.rollout;
  if (!rollout) return undefined;
  const name = serviceName(service);
  const said = rollout.message === '' ? '' : `: ${rollout.message}`;
  const object = service.id;
  switch (rollout.state) {
    case RolloutState.PAUSED:
      return why(
        'update-paused',
        `the update of ${name} to revision ${rollout.toRevision} is paused${said}`,
        {
          object,
          advice: `Roll back, or update again with what mends it. ${rollout.done} of ${rollout.total} slots are done.`,
          command: `swarm service rollback ${name}`,
        },
      );
    case RolloutState.ROLLBACK_PAUSED:
      return why('rollback-paused', `the rollback of ${name} is paused${said}`, {
        object,
        advice: 'Update it with a spec that works.',
        command: `swarm service update ${name}`,
      });
    case RolloutState.ROLLBACK_COMPLETED:
      if (state?.runningRevision === service.revision) return undefined;
      return why(
        'rolled-back',
        `the update of ${name} failed: revision ${state?.runningRevision} runs again${said}`,
        {
          object,
          advice: `Revision ${service.revision} is still its wish: update it with what mends it, or roll back.`,
          command: `swarm service rollback ${name}`,
        },
      );
    case RolloutState.UPDATING:
    case RolloutState.ROLLBACK_STARTED: {
      const word = rollout.state === RolloutState.UPDATING ? 'being updated' : 'being rolled back';
      return why(
        'updating',
        `${name} is ${word}: ${rollout.done} of ${rollout.total} slots are done${said}`,
        {
          object,
          advice: 'Wait, or watch it.',
          command: `swarm service ps ${name}`,
        },
      );
    }
    default:
      return undefined;
  }
}

import { ControlService, UpdateClusterRequest } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import { declareSettings, inFlags, settingsOf } from './settings.ts';

export const update: Verb = {
  declare(command) {
    declareSettings(command);
  },
  async run(context, _words, flags) {
    const { spec, fields } = settingsOf(flags);
    if (fields.length === 0) {
      throw new SwarmError('INVALID_ARGUMENT', 'There is nothing to change.', {
        advice: 'Give a setting.',
        command: 'swarm cluster update --task-history-limit 10',
      });
    }
    const session = await context.connect();
    const request = UpdateClusterRequest.create({ spec, fields });
    await session.write(ControlService.updateCluster, request).catch((error: unknown) => {
      throw inFlags(error);
    });
    context.io.out('Cluster updated.\n');
  },
};

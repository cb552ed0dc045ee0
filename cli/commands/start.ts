import { Empty, LocalService } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { Verb } from '../command.ts';
import { ensureDaemon, hasState, surroundingsOf } from '../local-daemon.ts';
import { stateDirOf } from '../paths.ts';
import { declarePlace } from './start-options.ts';

export const start: Verb = {
  declare(command) {
    declarePlace(command);
  },
  async run(context, _words, flags) {
    const stateDir = stateDirOf(surroundingsOf(context), flags.text('state-dir'));
    const daemon = hasState(stateDir) ? await ensureDaemon(context, flags) : undefined;
    if (daemon === undefined) {
      throw new SwarmError('STATE_DIR', `There is no node in ${stateDir}.`, {
        advice:
          'swarm init makes a cluster, swarm join joins one; --state-dir names another place.',
        command: 'swarm init',
      });
    }
    const info = await daemon.session.read(LocalService.info, Empty.create());
    daemon.session.close();
    const does = daemon.started ? 'runs' : 'was running already';
    context.io.out(
      `The daemon of node ${info.nodeName || info.nodeId} ${does} (pid ${info.pid}).\n`,
    );
  },
};

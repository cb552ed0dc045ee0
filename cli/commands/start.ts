import { Empty, LocalService, ReaddressRequest } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { Verb } from '../command.ts';
import type { Context } from '../context.ts';
import { ensureDaemon, hasState, surroundingsOf } from '../local-daemon.ts';
import { warn } from '../output/warning.ts';
import { startOfVia, stateDirOf, upSocket } from '../paths.ts';
import { declarePlace } from './start-options.ts';

export const start: Verb = {
  declare(command) {
    declarePlace(command)
      .option('--advertise-addr <HOST[:PORT]>', 'New address of this node (default: as before)')
      .option('--listen-addr <HOST:PORT>', 'New address to listen on (default: as before)')
      .option('--publish-addr <HOST>', 'New address of published ports and of tasks')
      .option(
        '--managers <HOST:PORT[,…]>',
        'Where other managers are now, when all of them have moved',
      );
  },
  async run(context, _words, flags) {
    const { via } = context.globals;
    if (via !== undefined) throw ofDev(via);
    const stateDir = stateDirOf(surroundingsOf(context), flags.text('state-dir'));
    const daemon = hasState(stateDir) ? await ensureDaemon(context, flags) : undefined;
    if (daemon === undefined) throw noNode(context, stateDir);
    const info = await daemon.session.read(LocalService.info, Empty.create());
    const request = ReaddressRequest.create({
      advertiseAddress: flags.text('advertise-addr') ?? '',
      listenAddress: flags.text('listen-addr') ?? '',
      publishAddress: flags.text('publish-addr') ?? '',
      managers: (flags.text('managers') ?? '').split(',').filter((address) => address !== ''),
    });
    const { advertiseAddress, listenAddress, publishAddress, managers } = request;
    const isMoved = `${advertiseAddress}${listenAddress}${publishAddress}` !== '';
    const isTold = isMoved || managers.length > 0;
    const moved = isTold ? await daemon.session.write(LocalService.readdress, request) : undefined;
    daemon.session.close();
    const does = daemon.started ? 'runs' : 'was running already';
    context.io.out(
      `The daemon of node ${info.nodeName || info.nodeId} ${does} (pid ${info.pid}).\n`,
    );
    if (moved === undefined) return;
    if (isMoved) context.io.out(`Its address is ${moved.advertiseAddress} now.\n`);
    if (managers.length > 0)
      context.io.out(`It looks for managers at ${managers.join(', ')} as well.\n`);
    warn(context, moved.warnings);
  },
};

function ofDev(via: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', `${via} is a node of a \`swarm dev\` cluster.`, {
    advice: 'Such nodes have a start of their own.',
    command: startOfVia(via),
  });
}

function noNode(context: Context, stateDir: string): SwarmError {
  const isUp = upSocket(surroundingsOf(context).installation) !== undefined;
  return new SwarmError('STATE_DIR', `There is no node in ${stateDir}.`, {
    advice: isUp
      ? "This clone's own cluster is started by npm run up; --state-dir names another place."
      : 'swarm init makes a cluster, swarm join joins one; --state-dir names another place.',
    command: isUp ? 'npm run up' : 'swarm init',
  });
}

import type { Command } from 'commander';
import type { HostOffer, Init } from '../../proto/index.ts';
import { collect } from '../spec/declare-options.ts';
import type { Flags } from '../spec/flags.ts';

/** Where the daemon that a command may start keeps its state. */
export function declarePlace(command: Command): Command {
  return command
    .option('--state-dir <DIR>', 'Where this node keeps everything')
    .option('--allow-process', 'Let a root daemon run commands of this host as tasks')
    .option('--bind-roots <DIR[,DIR]>', 'Directories that services may bind here', collect)
    .option(
      '--generic-resource <OFFER>',
      'What services may reserve here: gpu=2, or gpu=NAME@DEVICE,NAME@DEVICE',
      collect,
    );
}

/** What services may have of this machine. */
export function offerOf(flags: Flags): Init<HostOffer> {
  return {
    bindRoots: flags.list('bind-roots').flatMap((text) => text.split(',')),
    genericResources: flags.list('generic-resource'),
  };
}

/** Addresses of a node, for `init` and `join`. */
export function declareAddresses(command: Command): Command {
  return command
    .option('--advertise-addr <HOST[:PORT]>', 'Address by which other nodes reach this one')
    .option('--listen-addr <HOST:PORT>', 'Address to listen on (default 0.0.0.0:2377)')
    .option('--publish-addr <HOST>', 'Address of published ports and of tasks')
    .option('--availability <WORD>', 'active, pause or drain (default active)')
    .option('--name <NAME>', 'Name of the node (default: the host name)');
}

/** Where containers of different nodes meet; for `init` and `join`. */
export function declareDataPath(command: Command): Command {
  return command.option(
    '--data-path-addr <HOST>',
    'Address or interface for traffic between containers (default: the advertised address)',
  );
}

import type { Command } from 'commander';

/** Where the daemon that a command may start keeps its state. */
export function declarePlace(command: Command): Command {
  return command
    .option('--state-dir <DIR>', 'Where this node keeps everything')
    .option('--allow-process', 'Let a root daemon run commands of this host as tasks');
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

import { SwarmError } from '../../../shared/errors.ts';

/** What netd is told on its command line. */
export interface NetdArguments {
  readonly stateDir: string;
  readonly socketPath: string;
}

export function formatNetdArguments(given: NetdArguments): readonly string[] {
  return ['--state-dir', given.stateDir, '--socket', given.socketPath];
}

/** Reads what `formatNetdArguments` wrote; throws INVALID_ARGUMENT on anything else. */
export function parseNetdArguments(argv: readonly string[]): NetdArguments {
  const [stateFlag, stateDir, socketFlag, socketPath] = argv;
  if (argv.length !== 4 || stateFlag !== '--state-dir' || socketFlag !== '--socket')
    throw new SwarmError('INVALID_ARGUMENT', 'usage: netd --state-dir DIR --socket PATH');
  return { stateDir: stateDir!, socketPath: socketPath! };
}

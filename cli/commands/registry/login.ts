import { ControlService, RegistryLoginRequest } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import type { Context } from '../../context.ts';
import type { Flags } from '../../spec/flags.ts';

const BY_FLAGS = 'Give it by flags: --username NAME --password-stdin.';

export const login: Verb = {
  declare(command) {
    command
      .argument('[REGISTRY]', 'HOST[:PORT] (default docker.io)')
      .option('-u, --username <NAME>', 'Name of the account')
      .option('--password-stdin', 'Read the password from standard input')
      .option('--no-check', 'Do not ask the registry whether it takes the login')
      .addHelpText(
        'after',
        '\nThe managers keep it encrypted and give it to nodes that pull from this registry.',
      );
  },
  async run(context, [host = 'docker.io'], flags) {
    const username =
      flags.text('username') ?? (await context.io.ask(`User name for ${host}: `, BY_FLAGS));
    const password = await readPassword(context, flags, host);
    const session = await context.connect();
    const auth = { host, username, password };
    const noCheck = flags.is('no-check');
    const request = RegistryLoginRequest.create({ auth, noCheck });
    const view = await session.write(ControlService.loginRegistry, request);
    context.io.out(`Logged in to ${view.host} as ${view.username}.\n`);
    return undefined;
  },
};

async function readPassword(context: Context, flags: Flags, host: string): Promise<string> {
  const { io } = context;
  const text = flags.is('password-stdin')
    ? (await io.readStdin()).replace(/\r?\n$/, '')
    : await io.ask(`Password for ${host}: `, BY_FLAGS, 'hidden');
  if (text !== '') return text;
  throw new SwarmError('INVALID_ARGUMENT', 'The password is empty.', {
    advice: 'Type it when asked, or pipe it in.',
    command: `swarm registry login ${host} --username NAME --password-stdin < FILE`,
  });
}

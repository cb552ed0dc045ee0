import {
  ControlService,
  CreateNetworkRequest,
  type Init,
  NetworkSpec,
  type Subnet,
} from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import { warn } from '../../output/warning.ts';
import { parseLabels } from '../../parse/key-value.ts';
import { collect } from '../../spec/declare-options.ts';
import type { Flags } from '../../spec/flags.ts';

export const create: Verb = {
  declare(command) {
    command
      .argument('<NETWORK>')
      .option('-d, --driver <DRIVER>', 'overlay (default)')
      .option('--subnet <CIDR>', 'Subnet (default: a free one of the pool)', collect)
      .option('--gateway <IP>', 'Gateway of a subnet (default: its first address)', collect)
      .option('--ip-range <CIDR>', 'Part of a subnet that addresses are taken from', collect)
      .option('--ipv6', 'Addresses of both families')
      .option('--internal', 'No way out of the network')
      .option('--attachable', 'Kept and shown, as scripts for Docker give it; nothing follows')
      .option('--label <KEY=VALUE>', 'Label', collect)
      .option('-o, --opt <KEY=VALUE>', 'encrypted, or mtu=BYTES', collect);
  },
  async run(context, words, flags) {
    const spec = networkSpec(words[0]!, flags);
    const session = await context.connect();
    const request = CreateNetworkRequest.create({ spec });
    const view = await session.write(ControlService.createNetwork, request);
    context.io.out(`${view.network!.id}\n`);
    warn(context, view.warnings);
  },
};

function networkSpec(name: string, flags: Flags): NetworkSpec {
  const options = flags.list('opt').map((text) => (text.includes('=') ? text : `${text}=`));
  return NetworkSpec.create({
    name,
    driver: flags.text('driver') ?? '',
    labels: parseLabels('--label', flags.list('label')),
    internal: flags.is('internal'),
    attachable: flags.is('attachable'),
    ipv6: flags.is('ipv6'),
    options: parseLabels('--opt', options),
    subnets: subnets(flags),
  });
}

/** Gateways and ranges go to subnets in the order in which they are given, as in Docker's lists. */
function subnets(flags: Flags): Init<Subnet>[] {
  const [cidrs, gateways, ranges] = ['subnet', 'gateway', 'ip-range'].map((flag) =>
    flags.list(flag),
  );
  for (const [flag, list] of [
    ['gateway', gateways!],
    ['ip-range', ranges!],
  ] as const)
    if (list.length > cidrs!.length)
      throw new SwarmError('INVALID_ARGUMENT', `--${flag} has no --subnet that it belongs to.`, {
        advice: 'Give --subnet as often, in the same order.',
      });
  return cidrs!.map((cidr, at) => ({
    cidr,
    gateway: gateways![at] ?? '',
    range: ranges![at] ?? '',
  }));
}

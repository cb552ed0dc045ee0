import {
  ControlService,
  GetNetworkRequest,
  GetNetworkResponse,
  type NetworkService,
  type NetworkView,
} from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { printable } from '../../output/printable.ts';
import { warn } from '../../output/warning.ts';
import { declareInspect, printInspect, warnStale } from '../shared-options.ts';
import { addressesText, statusText } from './ls.ts';

export const inspect: Verb = {
  declare(command) {
    declareInspect(command.argument('<NETWORK...>'))
      .option('-v, --verbose', 'Also services, virtual addresses, endpoints and nodes')
      .option('--pretty', 'For people');
  },
  async run(context, words, flags) {
    flags.exclusive('pretty', 'format');
    const session = await context.connect();
    const objects: unknown[] = [];
    for (const ref of words) {
      const request = GetNetworkRequest.create({ ref, verbose: flags.is('verbose') });
      const answer = await session.read(ControlService.getNetwork, request);
      warnStale(context, answer.freshness);
      if (!flags.is('pretty')) {
        objects.push(flat(answer, flags.is('verbose')));
        continue;
      }
      context.io.out(pretty(answer));
      warn(context, answer.network?.warnings ?? []);
    }
    if (!flags.is('pretty')) printInspect(context, objects, flags);
  },
};

/** The network's row with its state beside it, so that {{.Spec.Name}} is where other objects have it. */
function flat(answer: GetNetworkResponse, verbose: boolean): unknown {
  const {
    network: view,
    services,
    peers,
  } = GetNetworkResponse.toJson(answer) as {
    network: { network: object; [key: string]: unknown };
    services: unknown;
    peers: unknown;
  };
  const { network, ...rest } = view;
  return { ...network, ...rest, ...(verbose ? { services, peers } : {}) };
}

function pretty(answer: GetNetworkResponse): string {
  const view = answer.network!;
  const { network, state } = view;
  const spec = network?.spec;
  const lines: readonly (readonly [string, string])[] = [
    ['ID', network?.id ?? ''],
    ['Name', printable(spec?.name ?? '')],
    ['Driver', spec?.driver ?? ''],
    ['Status', state === null && view.predefined ? '' : statusText(view)],
    ['Subnets', subnetsText(view)],
    ['Addresses', state === null ? '' : addressesText(view)],
    ['MTU', state === null || state.mtu === 0 ? '' : String(state.mtu)],
    ['VXLAN id', state === null || state.vni === 0 ? '' : String(state.vni)],
    ['Options', optionsText(view)],
    ['Services', String(view.services)],
    ['Tasks', String(view.tasks)],
  ];
  const shown = lines.filter(([, value]) => value !== '');
  const head = shown.map(([name, value]) => `${`${name}:`.padEnd(12)}${value}`).join('\n');
  return `${[head, ...answer.services.map(serviceText)].join('\n')}\n`;
}

function subnetsText({ state }: NetworkView): string {
  return (state?.subnets ?? []).map(({ cidr, gateway }) => `${cidr} via ${gateway}`).join(', ');
}

function optionsText({ network }: NetworkView): string {
  const spec = network?.spec;
  const words = [
    spec?.internal ? 'internal' : '',
    spec?.attachable ? 'attachable' : '',
    spec?.ipv6 ? 'ipv6' : '',
    spec?.encrypted ? 'encrypted' : '',
  ];
  return words.filter((word) => word !== '').join(', ');
}

function serviceText(row: NetworkService): string {
  const address = [row.address, row.address6].filter((text) => text !== '').join(' ');
  const title = `${printable(row.serviceName)}: ${address === '' ? 'no virtual address' : address}`;
  const endpoints = row.endpoints.map((endpoint) => {
    const state = endpoint.draining ? 'draining' : endpoint.ready ? 'ready' : 'not ready';
    const slot = endpoint.slot > 0 ? `.${endpoint.slot}` : '';
    const own = [endpoint.address, endpoint.address6].filter((text) => text !== '').join(' ');
    const task = endpoint.taskId.slice(0, 12);
    return `  ${printable(row.serviceName)}${slot} ${task} ${own} ${state}`;
  });
  return [title, ...endpoints].join('\n');
}

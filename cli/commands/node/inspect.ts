import { ControlService, GetNodeResponse, Ref } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { printable } from '../../output/printable.ts';
import { availabilityWord, livenessWord } from '../../output/words.ts';
import { formatBytes } from '../../parse/bytes.ts';
import { declareInspect, printInspect, warnStale } from '../shared-options.ts';
import { managerStatus } from './ls.ts';
import { selfRef } from './self.ts';

export const inspect: Verb = {
  declare(command) {
    declareInspect(command.argument('[NODE...]', 'default: self')).option('--pretty', 'For people');
  },
  async run(context, words, flags) {
    flags.exclusive('pretty', 'format');
    const session = await context.connect();
    const objects: unknown[] = [];
    for (const word of words.length === 0 ? ['self'] : words) {
      const ref = await selfRef(session, word);
      const answer = await session.read(ControlService.getNode, Ref.create({ ref }));
      warnStale(context, answer.freshness);
      if (flags.is('pretty')) context.io.out(pretty(answer));
      else objects.push(flat(answer));
    }
    if (!flags.is('pretty')) printInspect(context, objects, flags);
  },
};

function flat(answer: GetNodeResponse): unknown {
  const { node: view } = GetNodeResponse.toJson(answer) as {
    node: { node: object; [key: string]: unknown };
  };
  const { node, ...rest } = view;
  return { ...node, ...rest };
}

function pretty(answer: GetNodeResponse): string {
  const view = answer.node!;
  const description = view.status?.description;
  const resources = description?.resources;
  const lines: readonly (readonly [string, string])[] = [
    ['ID', view.node?.id ?? ''],
    ['Name', printable(view.node?.name ?? '')],
    ['Status', livenessWord(view.status?.liveness ?? 0)],
    ['Availability', availabilityWord(view.node?.availability ?? 0)],
    ['Manager', managerStatus(view)],
    ['Address', view.status?.address ?? ''],
    ['Message', printable(view.status?.message ?? '')],
    ['Platform', `${description?.os ?? ''}/${description?.architecture ?? ''}`],
    ['Processors', resources ? String(resources.nanoCpus / 1e9) : ''],
    ['Memory', resources ? formatBytes(resources.memoryBytes) : ''],
    ['Runtimes', (description?.runtimes ?? []).join(', ')],
    ['Runs only', view.node?.runtime ?? ''],
    ['Features', pairs(description?.features ?? {})],
    ['Labels', pairs(view.node?.labels ?? {})],
    ['Tasks', String(view.running)],
  ];
  const shown = lines.filter(([, value]) => value !== '' && value !== '/');
  return `${shown.map(([name, value]) => `${`${name}:`.padEnd(14)}${value}`).join('\n')}\n`;
}

function pairs(map: { readonly [key: string]: string }): string {
  return Object.entries(map)
    .map(([key, value]) => printable(`${key}=${value}`))
    .join(', ');
}

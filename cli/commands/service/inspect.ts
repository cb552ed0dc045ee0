import { ControlService, GetServiceResponse, Ref, type ServiceView } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { printable } from '../../output/printable.ts';
import { modeWord, rolloutWord } from '../../output/words.ts';
import { declareInspect, printInspect, warnStale } from '../shared-options.ts';
import { replicasText } from './ls.ts';
import { portsText, whatRuns } from './shown.ts';

export const inspect: Verb = {
  declare(command) {
    declareInspect(command.argument('<SERVICE...>')).option('--pretty', 'For people');
  },
  async run(context, words, flags) {
    flags.exclusive('pretty', 'format');
    const session = await context.connect();
    const objects: unknown[] = [];
    for (const ref of words) {
      const answer = await session.read(ControlService.getService, Ref.create({ ref }));
      warnStale(context, answer.freshness);
      if (flags.is('pretty')) context.io.out(pretty(answer.service!));
      else objects.push(flat(answer));
    }
    if (!flags.is('pretty')) printInspect(context, objects, flags);
  },
};

/** The service row with its state beside it, so that {{.Spec.Name}} is where Docker has it. */
function flat(answer: GetServiceResponse): unknown {
  const { service } = GetServiceResponse.toJson(answer) as {
    service: { service: object; [key: string]: unknown };
  };
  const { service: row, ...rest } = service;
  return { ...row, ...rest };
}

function pretty(view: ServiceView): string {
  const { service, state } = view;
  const spec = service?.spec;
  const lines: readonly (readonly [string, string])[] = [
    ['ID', service?.id ?? ''],
    ['Name', printable(spec?.name ?? '')],
    ['Mode', modeWord(spec?.mode ?? 0)],
    ['Replicas', replicasText(view)],
    ['Revision', `${service?.revision ?? 0} (running ${state?.runningRevision ?? 0})`],
    ['Update', rolloutText(view)],
    ['Runs', whatRuns(spec?.task ?? null, true)],
    ['Ports', portsText(view)],
    ['Networks', networksText(view)],
    ['Constraints', (spec?.task?.placement?.constraints ?? []).map(printable).join(', ')],
    [
      'Labels',
      Object.entries(spec?.labels ?? {})
        .map(([k, v]) => printable(`${k}=${v}`))
        .join(', '),
    ],
  ];
  const shown = lines.filter(([, value]) => value !== '');
  return `${shown.map(([name, value]) => `${`${name}:`.padEnd(14)}${value}`).join('\n')}\n`;
}

/** Each network with what other services on it call this one. */
function networksText({ service, state }: ServiceView): string {
  const networks = service?.spec?.task?.networks ?? [];
  const addresses = (state?.virtualAddresses ?? []).map(({ address }) => address);
  const names = networks.map(({ target, aliases }) =>
    aliases.length === 0 ? target : `${target} (${aliases.join(', ')})`,
  );
  const virtual = addresses.length === 0 ? '' : `; virtual address ${addresses.join(', ')}`;
  return names.length === 0 ? '' : `${printable(names.join(', '))}${virtual}`;
}

function rolloutText(view: ServiceView): string {
  const rollout = view.state?.rollout;
  if (!rollout || rollout.state === 0) return '';
  const message = rollout.message === '' ? '' : `: ${printable(rollout.message)}`;
  return `${rolloutWord(rollout.state)}, ${rollout.done} of ${rollout.total}${message}`;
}

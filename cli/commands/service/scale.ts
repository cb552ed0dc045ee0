import { ControlService, ScaleServiceRequest } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { invalid } from '../../parse/invalid.ts';
import { parseWhole } from '../../parse/number.ts';
import { waitForService } from '../../wait.ts';
import { reporter } from '../report.ts';
import { declareDetach, forEachWord, warn } from '../shared-options.ts';

export const scale: Verb = {
  declare(command) {
    declareDetach(command.argument('<SERVICE=REPLICAS...>'));
  },
  async run(context, words, flags) {
    const wanted = words.map(parseScale);
    const session = await context.connect();
    const waits: { id: string; name: string; version: number }[] = [];
    const code = await forEachWord(words, reporter(context), async (word) => {
      const { ref, replicas } = wanted[words.indexOf(word)]!;
      const view = await session.write(
        ControlService.scaleService,
        ScaleServiceRequest.create({ ref, replicas }),
      );
      const { id, version, spec } = view.service!;
      context.io.out(`${spec?.name ?? ref} scaled to ${replicas}\n`);
      warn(context, view.warnings);
      waits.push({ id, version, name: spec?.name ?? ref });
    });
    if (flags.is('detach')) return code;
    for (const wait of waits) {
      const ended = await waitForService(context, {
        ...wait,
        removal: false,
        quiet: flags.is('quiet'),
      });
      if (ended !== 0) return ended;
    }
    return code;
  },
};

export function parseScale(word: string): { readonly ref: string; readonly replicas: number } {
  const match = /^(.+)=([^=]*)$/.exec(word);
  if (match === null) throw invalid('service scale', word, 'SERVICE=REPLICAS, such as web=3');
  return { ref: match[1]!, replicas: parseWhole(`service scale ${match[1]}`, match[2]!) };
}

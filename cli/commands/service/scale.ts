import { ControlService, ScaleServiceRequest, type Service } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { invalid } from '../../parse/invalid.ts';
import { parseWhole } from '../../parse/number.ts';
import { reporter } from '../report.ts';
import { forEachWord, warn } from '../shared-options.ts';
import { declareConverge, waiter } from './converge.ts';

export const scale: Verb = {
  declare(command) {
    declareConverge(command.argument('<SERVICE=REPLICAS...>'));
  },
  async run(context, words, flags) {
    const wanted = words.map(parseScale);
    const wait = waiter(context, flags);
    const session = await context.connect();
    const changed: Service[] = [];
    const code = await forEachWord(words, reporter(context), async (word) => {
      const { ref, replicas } = wanted[words.indexOf(word)]!;
      const view = await session.write(
        ControlService.scaleService,
        ScaleServiceRequest.create({ ref, replicas }),
      );
      const service = view.service!;
      context.io.out(`${service.spec?.name ?? ref} scaled to ${replicas}\n`);
      warn(context, view.warnings);
      changed.push(service);
    });
    for (const service of changed) {
      const ended = await wait(service);
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

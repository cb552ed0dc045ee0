import { ControlService, ScaleServiceRequest, type ServiceView } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import { invalid } from '../../parse/invalid.ts';
import { parseWhole } from '../../parse/number.ts';
import { reporter } from '../report.ts';
import { forEachNamed } from '../shared-options.ts';
import { declareConverge, waiter } from './converge.ts';

export const scale: Verb = {
  declare(command) {
    declareConverge(command.argument('<SERVICE=REPLICAS...>'));
  },
  async run(context, words, flags) {
    refuseTwoWords(words);
    const wanted = words.map(parseScale);
    const wait = waiter(context, flags);
    const session = await context.connect();
    const changed: ServiceView[] = [];
    const code = await forEachNamed(words, reporter(context), async (word) => {
      const { ref, replicas } = wanted[words.indexOf(word)]!;
      const view = await session.write(
        ControlService.scaleService,
        ScaleServiceRequest.create({ ref, replicas }),
      );
      context.io.out(`${view.service?.spec?.name ?? ref} scaled to ${replicas}\n`);
      changed.push(view);
    });
    for (const view of changed) {
      const ended = await wait(view);
      if (ended !== 0) return ended;
    }
    return code;
  },
};

/** "web 5" is what one types first. */
function refuseTwoWords([name = '', number = '', ...rest]: readonly string[]): void {
  if (rest.length > 0 || name.includes('=') || !/^\d+$/.test(number)) return;
  throw new SwarmError('INVALID_ARGUMENT', 'A service and its replicas are one word.', {
    advice: 'With an equals sign between them:',
    command: `swarm service scale ${name}=${number}`,
  });
}

function parseScale(word: string): { readonly ref: string; readonly replicas: number } {
  const match = /^(.+)=([^=]*)$/.exec(word);
  if (match === null) throw invalid('service scale', word, 'SERVICE=REPLICAS, such as web=3');
  return { ref: match[1]!, replicas: parseWhole(`service scale ${match[1]}`, match[2]!) };
}

import {
  ControlService,
  type Reason,
  WhyResponse as Why,
  WhyRequest,
  type WhyResponse,
} from '../../proto/index.ts';
import type { Verb } from '../command.ts';
import { jsonView } from '../output/json-view.ts';
import { formatInspect } from '../output/list.ts';
import { printable } from '../output/printable.ts';
import { parseWord } from '../parse/words.ts';
import { selfRef } from './node/self.ts';
import { warnStale } from './shared-options.ts';

const KINDS = { service: 'service', task: 'task', node: 'node', network: 'network' };

export const why: Verb = {
  declare(command) {
    command
      .argument('<SERVICE|TASK|NODE|NETWORK>')
      .option('--kind <KIND>', 'service, task, node or network, where a name has several')
      .option('--format <FORMAT>', 'json or a template such as {{.Summary}}');
  },
  async run(context, words, flags) {
    const kind = flags.or('kind', '', (flag, text) => parseWord(flag, text, KINDS));
    const session = await context.connect();
    const ref = await selfRef(session, words[0]!);
    const answer = await session.read(ControlService.why, WhyRequest.create({ ref, kind }));
    warnStale(context, answer.freshness);
    const format = flags.text('format');
    if (format === undefined) context.io.out(whyText(answer));
    else {
      const view = jsonView(Why.toJson(answer));
      context.io.out(
        format === 'json' ? `${JSON.stringify(view)}\n` : formatInspect([view], format),
      );
    }
  },
};

/** The state in one sentence, then each reason with what to do about it. Codes are for scripts. */
function whyText(answer: WhyResponse): string {
  const lines = [printable(answer.summary)];
  for (const [i, reason] of answer.reasons.entries()) {
    if (i > 0 || !says(answer, reason)) lines.push('', printable(reason.text));
    for (const detail of reason.details) lines.push(`  - ${printable(detail)}`);
    if (reason.advice !== '') lines.push(`  ${printable(reason.advice)}`);
    if (reason.command !== '') lines.push(`    ${printable(reason.command)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** The summary ends with the first reason, without the name that it begins with already. */
function says({ summary, name }: WhyResponse, { code, text }: Reason): boolean {
  const own = text.startsWith(`${name}: `) ? text.slice(name.length + 2) : text;
  return code === 'fine' || summary.endsWith(own);
}

import {
  ControlService,
  DiagnoseNetworkRequest,
  DiagnoseNetworkResponse,
  type NetworkFinding,
  type NodeDiagnosis,
} from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { jsonView } from '../../output/json-view.ts';
import { formatInspect } from '../../output/list.ts';
import { printable } from '../../output/printable.ts';
import { formatTable } from '../../output/table.ts';
import { selfRef } from '../node/self.ts';

/** Nodes send to each other for a few seconds, and the slowest has its time. */
const DIAGNOSIS_MS = 30_000;

export const doctor: Verb = {
  declare(command) {
    command
      .argument('[NODE]')
      .option('--no-probes', 'Ask the nodes only, without sending anything between them')
      .option('--format <FORMAT>', 'json or a template such as {{.Findings}}');
  },
  /** 1: something is wrong. */
  async run(context, words, flags) {
    const session = await context.connect();
    const ref = words[0] === undefined ? '' : await selfRef(session, words[0]);
    const request = DiagnoseNetworkRequest.create({ ref, noProbes: flags.is('no-probes') });
    const answer = await session.write(ControlService.diagnoseNetwork, request, DIAGNOSIS_MS);
    const format = flags.text('format');
    if (format === undefined) context.io.out(diagnosisText(answer));
    else {
      const view = jsonView(DiagnoseNetworkResponse.toJson(answer));
      context.io.out(
        format === 'json' ? `${JSON.stringify(view)}\n` : formatInspect([view], format),
      );
    }
    return answer.findings.some(({ severity }) => severity !== 'note') ? 1 : 0;
  },
};

/** A line for each node, then each finding with its fix. */
function diagnosisText({ nodes, findings }: DiagnoseNetworkResponse): string {
  const heading = ['NODE', 'CARRIES', 'DEVICE', 'MTU', 'ROWS', 'PATHS', 'STATE'];
  const rows = nodes.map((node) => nodeCells(node));
  const wrong = findings.filter(({ severity }) => severity !== 'note').length;
  const end =
    wrong === 0
      ? 'Nothing is wrong.'
      : `${wrong} ${wrong === 1 ? 'thing is' : 'things are'} wrong.`;
  return `${formatTable([heading, ...rows])}${findings.map(findingText).join('')}\n${end}\n`;
}

function nodeCells({ nodeName, network, current }: NodeDiagnosis): readonly string[] {
  const name = printable(nodeName);
  if (network === null) return [name, '', '', '', '', '', 'no answer'];
  const { tier, device, mtu, probes, problem, tunnelProblem, repaired } = network;
  if (tier !== 'overlay') return [name, 'nothing', '', '', '', '', 'proxy tier'];
  const whole = probes.filter(({ sent, answered }) => answered.length === sent.length);
  const broken = problem !== '' || tunnelProblem !== '';
  return [
    name,
    'networks',
    printable(device),
    mtu === 0 ? '' : String(mtu),
    current ? 'current' : 'stale',
    probes.length === 0 ? '' : `${whole.length} of ${probes.length}`,
    broken ? 'broken' : repaired > 0 ? 'repaired now' : 'as it should be',
  ];
}

function findingText({ severity, nodeName, text, advice, command }: NetworkFinding): string {
  const lines = [`\n${severity.toUpperCase()} ${printable(nodeName)}: ${printable(text)}`];
  if (advice !== '') lines.push(`  ${printable(advice)}`);
  if (command !== '') lines.push(`    ${printable(command)}`);
  return `${lines.join('\n')}\n`;
}

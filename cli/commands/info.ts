import { Empty, InfoResponse, LocalService, type NodeDescription } from '../../proto/index.ts';
import { VERSION } from '../../shared/version.ts';
import type { Verb } from '../command.ts';
import { jsonView } from '../output/json-view.ts';
import { formatInspect } from '../output/list.ts';
import { printable } from '../output/printable.ts';
import { warn } from '../output/warning.ts';
import { formatBytes } from '../parse/bytes.ts';

export const info: Verb = {
  declare(command) {
    command.option('--format <FORMAT>', 'json or a template such as {{.NodeID}}');
  },
  async run(context, _words, flags) {
    const session = await context.connect();
    const answer = await session.read(LocalService.info, Empty.create());
    const format = flags.text('format');
    if (format !== undefined) {
      const view = jsonView(InfoResponse.toJson(answer));
      context.io.out(
        format === 'json' ? `${JSON.stringify(view)}\n` : formatInspect([view], format),
      );
      return;
    }
    context.io.out(infoText(answer, session.socket));
    warn(context, answer.warnings);
  },
};

function infoText(answer: InfoResponse, socket: string): string {
  const description = answer.description;
  const resources = description?.resources;
  const state = answer.state === 'manager' && answer.leader ? 'manager (leader)' : answer.state;
  const lines: readonly (readonly [string, string])[] = [
    ['Client version', VERSION],
    ['Daemon version', printable(answer.versionText)],
    ['Cluster', clusterText(answer)],
    ['Node', answer.nodeId === '' ? '' : `${printable(answer.nodeName)} (${answer.nodeId})`],
    ['State', state === 'none' ? '' : state],
    ['Error', printable(answer.error)],
    ['Connected', answer.nodeId === '' ? '' : answer.connected ? 'yes' : 'no'],
    ['Address', answer.advertiseAddress],
    ['Managers', answer.managers.join(', ')],
    ['Tasks', answer.nodeId === '' ? '' : String(answer.tasks)],
    ['Runtimes', (description?.runtimes ?? []).join(', ')],
    ['Network', networkText(answer.networkTier, description)],
    ['Processors', resources ? String(resources.nanoCpus / 1e9) : ''],
    ['Memory', resources ? formatBytes(resources.memoryBytes) : ''],
    ['State directory', answer.stateDir],
    ['Socket', socket],
    ['Log', answer.logFile],
    ['Process id', String(answer.pid)],
  ];
  const shown = lines.filter(([, value]) => value !== '');
  return `${shown.map(([name, value]) => `${`${name}:`.padEnd(17)}${value}`).join('\n')}\n`;
}

function clusterText({ clusterId, state }: InfoResponse): string {
  if (state === 'starting') return 'the daemon is taking it up: ask again in a moment';
  return clusterId === '' ? 'none: swarm init or swarm join' : clusterId;
}

/** With the reason where it carries no networks of containers. */
function networkText(tier: string, description: NodeDescription | null): string {
  const reason = description?.features['network-reason'] ?? '';
  return tier === 'overlay' || reason === '' ? tier : `${tier} (${printable(reason)})`;
}

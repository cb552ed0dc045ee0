import type { Reason, ServiceSpec, TaskSpec } from '../../../proto/index.ts';
import { lacks, needsOf } from '../../loop/addressing/needs.ts';
import { bindSources } from '../../loop/binds.ts';
import { type Constraint, meets, parseConstraint } from '../../loop/constraint.ts';
import { platformsOf, wrongPlatform } from '../../loop/platform.ts';
import type { View } from '../../store/view.ts';
import type { NodeVerdict } from '../deps.ts';
import {
  clusterNetworks,
  doubtAbout,
  type KnownNode,
  keptNodes,
  knownNodes,
  noNetworkText,
  noRuntimeText,
  offersRuntime,
} from '../warnings.ts';
import { whyNodeIsClosed } from './availability.ts';
import { why } from './reason.ts';

export interface Placing {
  readonly view: View;
  readonly spec: ServiceSpec;
  /** The scheduler's filters on each node, for the details. */
  readonly verdicts: readonly NodeVerdict[];
}

/**
 * Why a task has no node: the narrowest cause that holds for every node. First what no node can ever
 * give (runtime, a constraint that nothing meets), then what stands in the way of those that could.
 */
export function whyNotPlaced(placing: Placing): Reason {
  const { view, spec } = placing;
  const name = spec.name;
  const nodes = knownNodes(view);
  const task = spec.task;
  if (task === null || nodes.length === 0) return noNodes(placing);
  const able = nodes.filter((known) => offersRuntime(known, task));
  if (able.length === 0) return noRuntime(placing, nodes, task);
  const platforms = platformsOf(task.container);
  if (able.every(({ status }) => wrongPlatform(platforms, status.description) !== ''))
    return why('wrong-platform', `${name}: its image is for ${platforms.join(', ')}: no node is`, {
      advice: 'Take an image that is built for the nodes as well, or add a node of that kind.',
      command: 'swarm node ls',
      details: detailsOf(placing),
    });
  const needs = needsOf(view, clusterNetworks(task));
  const linked = able.filter(
    ({ status }) =>
      lacks(status, needs) === '' && wrongPlatform(platforms, status.description) === '',
  );
  if (linked.length === 0)
    return why('no-overlay-node', `${name}: ${noNetworkText(needs)}`, {
      advice: needs.includes('encrypted')
        ? 'Install wireguard-tools, and wireguard-go where the kernel has no WireGuard: ' +
          'the node sees it within a minute.'
        : 'Run swarm network doctor on a node to see what it lacks, or take the network away.',
      command: 'swarm node ls',
      details: detailsOf(placing),
    });
  const constraints = (task.placement?.constraints ?? []).map(parseConstraint);
  const wishes = constraints.filter((wish) => wish !== undefined);
  const fitting = linked.filter((known) => meetsAll(known, wishes));
  if (fitting.length === 0) return unmet(placing, linked, task);
  const closed = fitting.map(({ node, status }) => whyNodeIsClosed(node, status));
  const shut = closed.filter((reason) => reason !== undefined);
  if (shut.length === fitting.length) return allClosed(placing, shut);
  return fullNodes(placing, fitting);
}

function meetsAll({ node, status }: KnownNode, wishes: readonly Constraint[]): boolean {
  return wishes.every((wish) => meets(wish, node, status));
}

function noNodes(placing: Placing): Reason {
  const closed = [...placing.view.table('node').all()].map((node) =>
    whyNodeIsClosed(node, placing.view.table('nodeStatus').get(node.id)),
  );
  return allClosed(
    placing,
    closed.filter((reason) => reason !== undefined),
  );
}

function noRuntime(placing: Placing, nodes: readonly KnownNode[], task: TaskSpec): Reason {
  const image = task.container !== null;
  const details = detailsOf(placing);
  const text = `${placing.spec.name}: ${noRuntimeText(nodes, task)}`;
  const kept = keptNodes(nodes, task)[0]?.node.name;
  if (kept !== undefined)
    return why('no-runtime', text, {
      advice: 'Let such a node run both again, or add one.',
      command: `swarm node update --runtime any ${kept}`,
      details,
    });
  return why('no-runtime', text, {
    advice: image
      ? 'Run a command of the host instead (--process), or add a node with a container runtime.'
      : 'Start a daemon with --allow-process, or run an image.',
    command: 'swarm node ls',
    details,
  });
}

/** No node meets the constraints: one that none meets at all is the culprit, else their sum. */
function unmet(placing: Placing, able: readonly KnownNode[], task: TaskSpec): Reason {
  const { name } = placing.spec;
  const texts = task.placement?.constraints ?? [];
  const doubts = texts
    .map((text) => ({ text, doubt: doubtAbout(text, able) }))
    .filter((item) => item.doubt !== undefined);
  const worst = doubts.find(({ doubt }) => doubt!.typo) ?? doubts[0];
  if (worst === undefined)
    return why('no-suitable-node', `${name}: no node meets all its constraints at once`, {
      advice: 'Loosen a constraint, or label a node that should fit.',
      command: `swarm service update --constraint-rm '${texts[0] ?? ''}' ${name}`,
      details: detailsOf(placing),
    });
  const { text, doubt } = worst;
  const remove = `swarm service update --constraint-rm '${text}'`;
  const add = doubt!.suggestion === '' ? '' : ` --constraint-add '${doubt!.suggestion}'`;
  return why(
    doubt!.typo ? 'constraint-typo' : 'no-suitable-node',
    `${name}: no node meets the constraint ${text}: ${doubt!.text}`,
    {
      advice: 'Change the constraint, or label a node that should fit.',
      command: `${remove}${add} ${name}`,
      details: detailsOf(placing),
    },
  );
}

/** Every node that would fit takes no tasks. */
function allClosed(placing: Placing, closed: readonly Reason[]): Reason {
  const { name } = placing.spec;
  const [first] = closed;
  if (first === undefined)
    return why('no-suitable-node', `${name}: the cluster has no node yet`, {
      advice: 'Add one.',
      command: 'swarm join-token worker',
    });
  const code = closed.every((reason) => reason.code === first.code) ? first.code : undefined;
  const rest = { advice: first.advice, command: first.command, object: first.object };
  const details = closed.length === 1 ? detailsOf(placing) : closed.map((reason) => reason.text);
  if (closed.length === 1 || code === undefined)
    return why(
      (code ?? 'no-suitable-node') as 'no-suitable-node',
      code === undefined
        ? `${name}: no node that fits takes tasks now`
        : `${name} waits for a node: ${first.text}`,
      { ...rest, details },
    );
  return why(
    code as 'node-down',
    `${name} waits for a node: all ${closed.length} that fit take no tasks (${first.text}, ...)`,
    { ...rest, details },
  );
}

/** Nodes that fit and take tasks, but have no room for this one. */
function fullNodes(placing: Placing, fitting: readonly KnownNode[]): Reason {
  const { name } = placing.spec;
  const ids = new Set(fitting.map(({ node }) => node.id));
  const details = detailsOf(placing);
  const refused = placing.verdicts.filter((verdict) => !verdict.fits && ids.has(verdict.nodeId));
  const codes = new Set(refused.map((verdict) => verdict.code));
  if (codes.has('resources'))
    return why(
      'not-enough-resources',
      `${name}: no node has enough free resources for one more task`,
      {
        advice: 'Reserve less, remove something, or add a node.',
        command: `swarm service update --reserve-memory SIZE --reserve-cpu NUMBER ${name}`,
        details,
      },
    );
  if (codes.has('host-port'))
    return why('port-taken', `${name}: its host-mode port is in use on every node that fits`, {
      advice: 'Choose another port, or publish it in ingress mode.',
      command: 'swarm service ls',
      details,
    });
  if (codes.has('max-replicas'))
    return why('max-replicas-per-node', `${name}: every node that fits has its most replicas`, {
      advice: 'Allow more on each node, ask for fewer, or add a node.',
      command: `swarm service update --replicas-max-per-node NUMBER ${name}`,
      details,
    });
  const away = refused.find((verdict) => verdict.code === 'volume');
  if (away !== undefined) return volumeElsewhere(name, away.text, details);
  if (codes.has('bind')) return bindNotOffered(placing.spec, details);
  return why('no-suitable-node', `${name}: no node fits`, {
    advice: 'Change the placement or the reservations of the service, or add a node that fits.',
    command: 'swarm node ls',
    details,
  });
}

/** The nodes that have its volumes take no tasks now, or none has all of them. */
function volumeElsewhere(name: string, text: string, details: readonly string[]): Reason {
  return why('volume-elsewhere', `${name} waits: its ${text}`, {
    advice:
      'Bring that node back, or move the contents (swarm volume export, import); to begin anew ' +
      'elsewhere, remove the volume or the node.',
    command: 'swarm volume ls',
    details,
  });
}

function bindNotOffered(spec: ServiceSpec, details: readonly string[]): Reason {
  const text = `${spec.name}: no node that fits offers ${bindSources(spec).join(' and ')}`;
  return why('bind-not-offered', text, {
    advice:
      'Offer the directory on a node that fits (stop it, then start it with --bind-roots), use a ' +
      'volume, or let the cluster allow access to hosts.',
    command: 'swarm cluster update --allow-host-access',
    details,
  });
}

/** One line for each node that does not fit. */
function detailsOf({ view, verdicts }: Placing): string[] {
  return verdicts
    .filter((verdict) => !verdict.fits)
    .map(
      (verdict) =>
        `${view.table('node').get(verdict.nodeId)?.name ?? verdict.nodeId}: ${verdict.text}`,
    )
    .sort();
}

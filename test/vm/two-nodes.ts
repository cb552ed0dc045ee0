import assert from 'node:assert/strict';
import { Kernel } from '../../worker/network/router/kernel.ts';
import { nodeNames } from '../../worker/network/router/names.ts';
import { RecordingNetcmd } from '../../worker/network/router/netcmd.fixture.ts';
import type { Command } from '../../worker/network/router/netcmd.ts';
import { type Plan, Planner } from '../../worker/network/router/plan.ts';
import { at, endpoint, input, peer } from '../../worker/network/router/rows.fixture.ts';
import type { OverlayRows } from '../../worker/network/router/surroundings.ts';

export const TUNNEL_KEYS = '/var/lib/swarm/tunnel';

/** Two hosts of a guest on one cable, in shell. */
export const CABLE = `
ip netns add host1
ip netns add host2
ip link add eth0 netns host1 type veth peer name eth0 netns host2
for n in 1 2; do
  ip -n host$n link set lo up
  ip -n host$n addr add 192.168.99.1$n/24 dev eth0
  ip -n host$n link set eth0 up
done`;

export function shortOf(number: number): string {
  return `node${number}000`;
}

/**
 * Everything that the router of a node of the two types from nothing, as shell in the guest, and the plan
 * that this is for. The node has one container, with the address of its number on the first network.
 */
export async function typedBy(
  number: number,
  rows: Partial<OverlayRows>,
  six = true,
): Promise<{ readonly script: string; readonly plan: Plan }> {
  const short = shortOf(number);
  const netcmd = new RecordingNetcmd();
  const kernel = new Kernel({ netcmd, names: nodeNames(short), six });
  const plan = new Planner(six).plan({
    ...input(rows, [endpoint(number, { attachments: [at(1, number)], names: false })]),
    nodeId: peer(number).nodeId,
    short,
    names: nodeNames(short),
    tunnelKeys: TUNNEL_KEYS,
  });
  const { problem, tunnelProblem } = await kernel.bring(plan, false);
  assert.equal(problem + tunnelProblem, '');
  const script = netcmd.commands.map((command) => shellOf(command, `host${number}`)).join('\n');
  return { script, plan };
}

/** A command in shell, whose failure ends the script. */
export function shellOf({ place, program, args, input: text }: Command, host: string): string {
  const name = place.in === 'host' ? host : place.name;
  const words = args.map((arg) => `'${arg}'`).join(' ');
  return `nsenter --net=/run/netns/${name} ${program} ${words} >/dev/null <<'END_OF_INPUT' || exit 1
${text.replace(/\n?$/, '\n')}END_OF_INPUT`;
}

/** Configuration change scripts: memberships and what is known of each member, without a node. */
import type { ChangeResult, Changer } from '../../../manager/raft/core/confchange.ts';
import { enterJoint, leaveJoint, simpleChange } from '../../../manager/raft/core/confchange.ts';
import { describeMembership, describeProgress } from '../../../manager/raft/core/describe.ts';
import type { ConfChangeSingle } from '../../../manager/raft/core/index.ts';
import { NO_MEMBERS, Tracker } from '../../../manager/raft/core/tracker.ts';
import type { Directive } from './datadriven.ts';
import { boolean } from './datadriven.ts';
import { parseChanges } from './interaction.ts';

export function confChangeRunner(): (d: Directive) => string {
  const factory = new Tracker(10, 2 ** 40);
  let at: Changer = { membership: NO_MEMBERS, progress: new Map(), factory, lastIndex: 0 };
  return (d) => {
    const result = change(at, d);
    // Every command is one index further, so that `next` shows when a member came in.
    const lastIndex = at.lastIndex + 1;
    if (!result.ok) {
      at = { ...at, lastIndex };
      return result.reason;
    }
    at = { membership: result.membership, progress: result.progress, factory, lastIndex };
    let text = `${describeMembership(result.membership)}\n`;
    const members = [...result.progress.values()].sort((a, b) => a.id - b.id);
    for (const p of members) text += `${p.id}: ${describeProgress(p)}\n`;
    return text;
  };
}

function change(at: Changer, d: Directive): ChangeResult {
  let changes: ConfChangeSingle[];
  try {
    changes = parseChanges(d.input);
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
  switch (d.command) {
    case 'simple':
      return simpleChange(at, changes);
    case 'enter-joint': {
      const autoLeave = d.args.find((a) => a.key === 'autoleave')?.values[0] ?? 'false';
      return enterJoint(at, boolean(autoLeave), changes);
    }
    case 'leave-joint':
      if (changes.length > 0) return { ok: false, reason: 'this command takes no input' };
      return leaveJoint(at);
    default:
      return { ok: false, reason: 'unknown command' };
  }
}

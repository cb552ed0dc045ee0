/** Trace text for entries, messages and Readys, in the words of etcd's published test scripts. */
import { decodeConfChange } from './confchange-codec.ts';
import { describeChanges, entryTypeName, hex, messageTypeName, stateName } from './describe.ts';
import type { Entry, HardState, Message, NodeId, Ready, Snapshot } from './types.ts';
import { EntryType, LOCAL_APPEND, LOCAL_APPLY, NONE } from './types.ts';

/** How the payload of a normal entry is shown. Production shows its length, scripts its text. */
export type PayloadFormat = (data: Uint8Array) => string;

/** The length alone: traces never show what users store. */
export function describeLength(data: Uint8Array): string {
  return `${data.length} bytes`;
}

export function describeTarget(id: NodeId): string {
  if (id === LOCAL_APPEND) return 'AppendThread';
  if (id === LOCAL_APPLY) return 'ApplyThread';
  return hex(id);
}

export function describeEntry(e: Entry, format: PayloadFormat): string {
  let payload: string;
  if (e.type === EntryType.Normal) payload = format(e.data);
  else {
    const change = decodeConfChange(e);
    payload = change === null ? 'malformed' : describeChanges(change.changes);
  }
  const head = `${e.term}/${e.index} ${entryTypeName(e.type)}`;
  return payload === '' ? head : `${head} ${payload}`;
}

function describeHardState(h: HardState): string {
  const vote = h.vote === NONE ? '' : ` Vote:${h.vote}`;
  return `Term:${h.term}${vote} Commit:${h.commit}`;
}

function describeSnapshot(s: Snapshot): string {
  const list = (ids: readonly NodeId[]) => `[${ids.join(' ')}]`;
  const c = s.confState;
  return (
    `Index:${s.index} Term:${s.term} ConfState:Voters:${list(c.voters)} ` +
    `VotersOutgoing:${list(c.votersOutgoing)} Learners:${list(c.learners)} ` +
    `LearnersNext:${list(c.learnersNext)} AutoLeave:${c.autoLeave}`
  );
}

export function describeMessage(m: Message, format: PayloadFormat): string {
  return describeIndented('', m, format);
}

function describeIndented(indent: string, m: Message, format: PayloadFormat): string {
  let text = `${indent}${describeTarget(m.from)}->${describeTarget(m.to)} `;
  text += `${messageTypeName(m.type)} Term:${m.term} Log:${m.logTerm}/${m.index}`;
  if (m.reject) text += ` Rejected (Hint: ${m.rejectHint})`;
  if (m.commit !== 0) text += ` Commit:${m.commit}`;
  if (m.vote !== NONE) text += ` Vote:${m.vote}`;
  if (m.entries.length === 1) {
    text += ` Entries:[${describeEntry(m.entries[0]!, format)}]`;
  } else if (m.entries.length > 1) {
    const lines = m.entries.map((e) => `\n${indent}  ${describeEntry(e, format)}`);
    text += ` Entries:[${lines.join('')}\n${indent}]`;
  }
  if (m.snapshot !== null) text += `\n${indent}  Snapshot: ${describeSnapshot(m.snapshot)}`;
  if (m.responses.length > 0) {
    const lines = m.responses.map((a) => `\n${describeIndented(`${indent}  `, a, format)}`);
    text += ` Responses:[${lines.join('')}\n${indent}]`;
  }
  return text;
}

/** One line for each thing in it, every line ended. */
export function describeReady(rd: Ready, format: PayloadFormat): string {
  const lines: string[] = [];
  if (rd.softState !== null) {
    lines.push(`Lead:${rd.softState.lead} State:${stateName(rd.softState.state)}`);
  }
  if (rd.hardState !== null) lines.push(`HardState ${describeHardState(rd.hardState)}`);
  for (const s of rd.readStates) lines.push(`ReadState Index:${s.index}`);
  if (rd.entries.length > 0) {
    lines.push('Entries:', ...rd.entries.map((e) => describeEntry(e, format)));
  }
  if (rd.snapshot !== null) lines.push(`Snapshot ${describeSnapshot(rd.snapshot)}`);
  if (rd.committedEntries.length > 0) {
    lines.push('CommittedEntries:', ...rd.committedEntries.map((e) => describeEntry(e, format)));
  }
  if (rd.messages.length > 0) {
    lines.push('Messages:', ...rd.messages.map((m) => describeMessage(m, format)));
  }
  if (lines.length === 0) return '<empty Ready>\n';
  return `Ready MustSync=${rd.mustSync}:\n${lines.join('\n')}\n`;
}

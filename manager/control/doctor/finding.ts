import type { NetworkFinding, NodeNetwork } from '../../../proto/index.ts';

/** A node that was asked, with what the managers know of it. */
export interface Examined {
  readonly id: string;
  readonly name: string;
  /** Undefined: it did not answer, for this reason. */
  readonly network: NodeNetwork | undefined;
  readonly error: string;
  /** It has the rows that the managers have. */
  readonly current: boolean;
  /** What it told about itself when it joined or came back. */
  readonly toldMtu: number;
  readonly dataAddress: string;
  readonly dataPort: number;
  /** Why it encrypts nothing; empty: it does. */
  readonly noEncryption: string;
}

/** A note is no fault. */
export type Severity = 'error' | 'warning' | 'note';
/** Something that is not as it should be, with what to do about it. */
export type Finding = Pick<
  NetworkFinding,
  'severity' | 'check' | 'nodeName' | 'text' | 'advice' | 'command'
>;

/** One finding on a node. */
export function finding(
  severity: Severity,
  check: string,
  node: Pick<Examined, 'name'>,
  text: string,
  fix: { readonly advice: string; readonly command?: string },
): Finding {
  const { advice, command = '' } = fix;
  return { severity, check, nodeName: node.name, text, advice, command };
}

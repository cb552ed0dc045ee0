import { Empty, LocalService } from '../../../proto/index.ts';
import type { Session } from '../../session.ts';

/** `self` is the node that answers. */
export async function selfRef(session: Session, word: string): Promise<string> {
  if (word !== 'self') return word;
  return (await session.read(LocalService.info, Empty.create())).nodeId;
}

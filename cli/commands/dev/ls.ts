import type { Verb } from '../../command.ts';
import { probeSocket } from '../../connect.ts';
import { type DevNode, requireDevMarker } from '../../dev/marker.ts';
import { column, formatList, type Row } from '../../output/list.ts';
import { isSameProcess } from '../../process-identity.ts';
import { listOptions } from '../shared-options.ts';
import { declareDir, dirOf } from './options.ts';

export const ls: Verb = {
  declare(command) {
    declareDir(command)
      .option('--format <FORMAT>', 'table, "table TEMPLATE", json or a template')
      .option('-q, --quiet', 'Only names');
  },
  async run(context, _words, flags) {
    const { nodes } = requireDevMarker(dirOf(context, flags));
    const columns = [
      column('NAME', 'Name'),
      column('ROLE AT FIRST', 'Role'),
      column('ADDRESS', 'Address'),
      column('DAEMON', 'Daemon'),
      column('SOCKET', 'Socket'),
    ];
    const rows = await Promise.all(nodes.map(nodeRow));
    context.io.out(formatList(rows, listOptions(context, flags, columns, 'Name')));
  },
};

async function nodeRow(node: DevNode): Promise<Row> {
  const answers = (await probeSocket(node.socket)) === 'answers';
  const same = isSameProcess(node.pid, node.startTime);
  const daemon = answers ? (same ? `pid ${node.pid}` : 'answers') : same ? 'starting' : 'stopped';
  return {
    Name: node.name,
    Role: node.role,
    Address: `${node.address}:${node.port}`,
    Daemon: daemon,
    Socket: node.socket,
    PID: node.pid,
    StateDir: node.stateDir,
  };
}

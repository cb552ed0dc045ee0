import { ClusterView, ControlService, Empty } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { warn } from '../../output/warning.ts';
import { declareInspect, printInspect, warnStale } from '../shared-options.ts';

export const inspect: Verb = {
  declare(command) {
    declareInspect(command);
  },
  async run(context, _words, flags) {
    const session = await context.connect();
    const view = await session.read(ControlService.getCluster, Empty.create());
    warnStale(context, view.freshness);
    warn(context, view.warnings);
    const { cluster, rootDigest, managers, nodes } = ClusterView.toJson(view) as {
      cluster: object;
      rootDigest: string;
      managers: number;
      nodes: number;
    };
    printInspect(context, [{ ...cluster, rootDigest, managers, nodes }], flags);
  },
};

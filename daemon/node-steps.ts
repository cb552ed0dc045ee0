import type { Manager } from '../manager/manager.ts';
import type { Identity } from '../shared/tls/identity.ts';
import type { Addresses } from './address.ts';
import type { DaemonDeps } from './deps.ts';
import type { NodeConfig } from './node-config.ts';
import type { Offer } from './offer.ts';
import type { NodePaths } from './paths.ts';

/**
 * What making a cluster, joining, restoring, recovering and moving need of the node (node.ts), which
 * holds its turn meanwhile.
 */
export interface NodeSteps {
  readonly stateDir: string;
  readonly paths: NodePaths;
  readonly deps: DaemonDeps;
  /** Throws ALREADY_IN_CLUSTER or STATE_DIR. */
  refuseIfMember(): void;
  configFor(
    addresses: Addresses,
    nodeName: string,
    allowProcess: boolean,
    offer?: Offer,
  ): NodeConfig;
  /** Runs steps that put this node into a cluster; a failure takes all of them back. */
  entering(steps: () => Promise<void>): Promise<void>;
  /** The node is in the cluster of `identity` from now on. */
  enter(identity: Identity, config: NodeConfig): Promise<void>;
  /** For a manager that is alone. */
  untilLeader(): Promise<void>;
  /** False: it still has no vote after a while. */
  untilVoter(): Promise<boolean>;
  /** What this node is now. Throws NOT_IN_CLUSTER. */
  present(): { readonly identity: Identity; readonly config: NodeConfig; manager?: Manager };
  /** Ends the present membership; tasks go on. Resolves when the state is closed. */
  end(handOver?: boolean): Promise<void>;
  /** Takes it up again with `config`; resolves when it leads where `lead` is true. */
  begin(identity: Identity, config: NodeConfig, lead: boolean): Promise<void>;
  manager(): Manager;
}

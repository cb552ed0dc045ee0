import { firstState } from '../manager/bootstrap-rows.ts';
import { openLevel, systemDisk } from '../manager/database/index.ts';
import { createFirstMember } from '../manager/raft/index.ts';
import { type InitRequest, InitResponse, Role } from '../proto/index.ts';
import { newRaftId } from '../shared/ids.ts';
import { addressesOf } from './address.ts';
import { hostName } from './describe.ts';
import type { NodeSteps } from './node-steps.ts';
import { requestedOffer } from './offer.ts';
import { checkPortFree } from './port-check.ts';

/** `swarm init`: a new cluster with this node as its first manager. */
export async function makeCluster(request: InitRequest, steps: NodeSteps): Promise<InitResponse> {
  steps.refuseIfMember();
  const { clock, random, ids } = steps.deps;
  const addresses = addressesOf(request);
  const offer = requestedOffer(request.offer);
  const address = addresses.advertise;
  const nodeName = request.nodeName || hostName();
  const raftId = newRaftId(random);
  const [clusterId, nodeId] = [ids.next(), ids.next()];
  await checkPortFree(addresses.listen);
  const { availability, spec, network } = request;
  const { identity, rows } = await firstState(
    { clusterId, nodeId, raftId, nodeName, address, availability, spec, network },
    clock,
    random,
  );
  const member = { clusterId, epoch: 1, nodeId, raftId, address };
  await steps.entering(async () => {
    const deps = { disk: systemDisk, random, openEngine: openLevel };
    await createFirstMember(steps.paths.raft, member, rows, deps);
    const { allowProcess } = request;
    await steps.enter(identity, steps.configFor(addresses, nodeName, allowProcess, offer));
    await steps.untilLeader();
  });
  const { ca } = steps.manager();
  return InitResponse.create({
    nodeId,
    clusterId,
    workerToken: ca.token(Role.WORKER),
    managerToken: ca.token(Role.MANAGER),
    advertiseAddress: address,
    warnings: addresses.warnings,
  });
}

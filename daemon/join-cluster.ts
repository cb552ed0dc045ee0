import { rmSync } from 'node:fs';
import { type JoinRequest, JoinResponse, Role } from '../proto/index.ts';
import { joinCluster } from '../shared/enrolment/join.ts';
import { newKey } from '../shared/tls/csr.ts';
import { loadKey, writeSecret } from '../shared/tls/identity.ts';
import { addressesOf } from './address.ts';
import { hostName } from './describe.ts';
import type { NodeSteps } from './node-steps.ts';
import { requestedOffer } from './offer.ts';
import { checkPortFree } from './port-check.ts';

/** `swarm join`: asks the managers for a certificate and enters their cluster with it. */
export async function joinNode(request: JoinRequest, steps: NodeSteps): Promise<JoinResponse> {
  steps.refuseIfMember();
  const { paths, deps } = steps;
  const addresses = addressesOf(request);
  const offer = requestedOffer(request.offer);
  const nodeName = request.nodeName || hostName();
  const keyPem = (await loadKey(paths.joinKey)) ?? (await newKey());
  await writeSecret(paths.joinKey, keyPem);
  const { token, availability } = request;
  const joined = await joinCluster(
    { managers: request.managers, token, keyPem, hostname: nodeName, availability },
    deps.clock,
  );
  const isManager = joined.role === Role.MANAGER;
  if (isManager) await checkPortFree(addresses.listen);
  const config = {
    ...steps.configFor(addresses, nodeName, request.allowProcess, offer),
    managers: [...new Set([...joined.managers, ...request.managers])],
  };
  await steps.entering(() => steps.enter(joined.identity, config));
  rmSync(paths.joinKey, { force: true });
  const warnings = isManager ? [...addresses.warnings] : [];
  if (isManager && !(await steps.untilVoter()))
    warnings.push('this manager does not vote yet: it is still catching up (swarm node ls)');
  const { nodeId, clusterId, role } = joined;
  return JoinResponse.create({ nodeId, clusterId, role, warnings });
}

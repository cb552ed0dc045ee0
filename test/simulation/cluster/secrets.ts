import { newClusterSecrets } from '../../../manager/ca/secrets.ts';
import { type ClusterSecrets, ClusterSecrets as Codec } from '../../../proto/index.ts';
import { SeededRandom } from '../../../shared/random.ts';
import { newKey } from '../../../shared/tls/csr.ts';
import { CLUSTER_ID, FIRST_EPOCH } from './founding.ts';

/** What real cryptography made, once a process: it takes real time, which must not be in a run. */
export interface Secrets {
  readonly cluster: ClusterSecrets;
  /** Of a manager that a backup is restored onto. */
  readonly nodeKey: string;
}

/** Signatures vary in length, and the length of a row shows in the events: one that all runs have. */
const CERTIFICATE_BYTES = 599;
const TRIES = 10_000;

export async function makeSecrets(): Promise<Secrets> {
  const random = new SeededRandom(1, 'secrets');
  for (let i = 0; i < TRIES; i++) {
    const made = await newClusterSecrets(CLUSTER_ID, 1_700_000_000_000, random);
    if (made.rootCertificate.length !== CERTIFICATE_BYTES) continue;
    // Drawn after a number of tries that is different every time.
    const tokens = { workerTokenSecret: 'w'.repeat(25), managerTokenSecret: 'm'.repeat(25) };
    const cluster = Codec.with(made, { ...tokens, epoch: FIRST_EPOCH });
    return { cluster, nodeKey: await newKey() };
  }
  throw new Error(`no root certificate has ${CERTIFICATE_BYTES} bytes`);
}

import { runtimeContract } from '../runtime.contract.ts';
import { ProcessWorld } from './process-world.ts';

runtimeContract('process', async () => new ProcessWorld());
runtimeContract(
  'process, no pid namespace',
  async () => new ProcessWorld({ pidNamespaces: 'never' }),
);

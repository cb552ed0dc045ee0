import { after, before, describe, it } from 'node:test';
import {
  ContainerdWorld,
  PrivateContainerd,
} from '../../../worker/runtime/containerd/containerd.fixture.ts';
import { runtimeContract } from '../../../worker/runtime/runtime.contract.ts';
import { missingForContainers } from './prerequisites.ts';

const missing = missingForContainers();

if (missing !== '') it('containers keep the contract of a runtime', { skip: missing }, () => {});
else {
  describe('containers', () => {
    const engine = new PrivateContainerd();
    before(() => engine.start());
    after(() => engine.close());
    runtimeContract('containerd', async () => {
      const world = new ContainerdWorld(engine);
      await world.load();
      return world;
    });
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Init, PublishMode, type TaskSpec, TaskState } from '../../proto/index.ts';
import { Fixture } from './control.fixture.ts';
import { taskView } from './views.ts';

const nothing = { transientStatus: () => undefined, settledIndex: () => undefined };

/** Ports of a task whose service publishes 80 in ingress and 81 in host mode. */
async function portsOf(task: Init<TaskSpec>, state: TaskState): Promise<readonly string[]> {
  const at = new Fixture();
  await at.node('n1');
  const ports = [
    { target: 80, published: 8_080 },
    { target: 81, published: 8_081, mode: PublishMode.HOST },
  ];
  const serviceId = await at.create({ task, endpoint: { ports } });
  const bindings = [{ target: 80, host: '10.0.0.1', port: 20_000 }];
  await at.task({ id: 't', serviceId, nodeId: 'n1' }, { state, ports: bindings });
  const { view } = at.store;
  const shown = taskView(view, view.table('task').get('t')!, nothing);
  return shown.ports.map(({ host, port, target }) => `${host}:${port}->${target}`);
}

test('a task is shown with its ports of host mode, a process also with the one it listens on', async () => {
  const container = { container: { image: 'nginx' } };
  const process = { process: { command: ['serve'], user: 'nobody' } };
  assert.deepEqual(await portsOf(container, TaskState.RUNNING), [':8081->81']);
  assert.deepEqual(await portsOf(process, TaskState.RUNNING), [':8081->81', '10.0.0.1:20000->80']);
  assert.deepEqual(await portsOf(process, TaskState.FAILED), [], 'one that ended holds none');
});

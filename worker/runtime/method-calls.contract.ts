import { text } from 'node:stream/consumers';
import { type AssignedTask, ExecRequest, FilesRequest } from '../../proto/index.ts';
import type { TaskController } from '../runtime.ts';
import type { RuntimeWorld } from './runtime.contract.ts';

/** Resolves with what can be told of the answer, so that two of them can be compared. */
type Call = (
  controller: TaskController,
  world: RuntimeWorld,
  task: AssignedTask,
) => Promise<unknown>;

const never = new AbortController().signal;
/** Nobody listens there. */
const CLOSED_PORT = 1;

/**
 * How each method is called on a task that goes on until it is stopped, in the order of its life. A
 * method that a controller gets has to be put here: the compiler asks for it.
 */
export const METHOD_CALLS: { readonly [method in keyof Required<TaskController>]: Call } = {
  fetch: async (controller) => controller.fetch?.(never, () => undefined),
  prepare: (controller) => controller.prepare(never),
  start: async (controller, world, task) => {
    await controller.start(never);
    await world.ready(task);
  },
  status: (controller) => controller.status(),
  probeCommand: (controller, world) => controller.probeCommand(world.words('mark'), 20_000),
  exec: async (controller, world) => {
    const request = ExecRequest.create({ command: world.words('mark'), env: ['MARK=twice'] });
    const session = await controller.exec(request);
    const told = await Promise.all([text(session.stdout!), session.exit]);
    await session.close();
    return told;
  },
  attach: async (controller) => {
    const session = await controller.attach();
    session.close();
    return session.terminal;
  },
  dial: (controller) =>
    controller.dial(CLOSED_PORT).then(
      (socket) => socket.destroy(),
      (error) => error.code,
    ),
  files: async (controller) => {
    const session = await controller.files(FilesRequest.create({ path: '/' }));
    await session.done;
    session.close();
    return session.file;
  },
  shutdown: (controller) => controller.shutdown(never),
  wait: (controller) => controller.wait(never),
  terminate: (controller) => controller.terminate(),
  remove: (controller) => controller.remove(),
};

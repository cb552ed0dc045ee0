import {
  FilesAction,
  Frame,
  StreamStarted,
  type Task,
  TaskStreamRequest,
  type TaskStreamUp,
  VolumeAction,
} from '../../proto/index.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import { relay } from '../../shared/rpc/relay.ts';
import type { Duplex } from '../../shared/rpc/rpc.ts';
import type { ControlDeps } from './deps.ts';
import { refusePrivilegedExec } from './host-access.ts';
import { resolveNode, resolveTask, taskName } from './resolve.ts';
import { lastTask, runningTask } from './running-task.ts';
import { refuseUsedVolume } from './volumes.ts';

/**
 * Commands in tasks, their terminals, ports and files: somebody's stream is joined to one with the
 * task's agent. The leader alone can do it: it has the sessions.
 */
export class TaskStreams {
  readonly #deps: ControlDeps;

  constructor(deps: ControlDeps) {
    this.#deps = deps;
  }

  /** The first message says what is wanted; its answer is `started`, or the stream's error. */
  open(stream: Duplex<TaskStreamUp, Frame>): void {
    let opened = false;
    stream.onMessage((message) => {
      if (opened) return;
      opened = true;
      try {
        this.#join(stream, message);
      } catch (error) {
        const known = SwarmError.is(error);
        stream.destroy(known ? error : new SwarmError('INTERNAL', messageOf(error)));
      }
    });
  }

  #join(stream: Duplex<TaskStreamUp, Frame>, { ref, open }: TaskStreamUp): void {
    if (open === null) {
      throw new SwarmError('INVALID_ARGUMENT', 'The first message says what is wanted.');
    }
    const { dispatcher, store } = this.#deps;
    if (open.exec?.privileged) refusePrivilegedExec(store.view);
    if (open.volume !== null) {
      this.#joinNode(stream, ref, open.volume);
      return;
    }
    // Its last state is readable after its end, too.
    const task =
      open.status === null
        ? (isLook(open) ? lastTask : runningTask)(store.view, ref, dispatcher)
        : resolveTask(store.view, ref);
    if (task.nodeId === '') {
      throw new SwarmError('PRECONDITION', `task ${ref} was never given to a node`);
    }
    const request = TaskStreamRequest.with(open, { taskId: task.id });
    relay(stream, dispatcher.openTaskStream(task.nodeId, request), {
      toRight: (message) => message.frame ?? undefined,
      toLeft: (frame) => (frame.started === null ? frame : this.#named(frame, task)),
    });
  }

  /** Volumes are a node's, not a task's. */
  #joinNode(
    stream: Duplex<TaskStreamUp, Frame>,
    ref: string,
    request: NonNullable<TaskStreamRequest['volume']>,
  ): void {
    const { dispatcher, store, selfNodeId } = this.#deps;
    const node = resolveNode(store.view, ref, selfNodeId);
    if (request.action === VolumeAction.REMOVE) refuseUsedVolume(store.view, node, request.name);
    const asked = TaskStreamRequest.with(TaskStreamRequest.create(), { volume: request });
    relay(stream, dispatcher.openTaskStream(node.id, asked), {
      toRight: (message) => message.frame ?? undefined,
      toLeft: (frame) => {
        if (frame.started === null) return frame;
        return Frame.with(frame, {
          started: StreamStarted.with(frame.started, { nodeName: node.name }),
        });
      },
    });
  }

  /** An agent does not know by which names people call its task and itself. */
  #named(frame: Frame, task: Task): Frame {
    const { view } = this.#deps.store;
    const started = StreamStarted.with(frame.started!, {
      taskId: task.id,
      taskName: taskName(view, task),
      nodeName: view.table('node').get(task.nodeId)?.name ?? task.nodeId,
    });
    return Frame.with(frame, { started });
  }
}

/** Something is only looked at: of a task that has ended it is still there. */
function isLook({ files }: TaskStreamRequest): boolean {
  return files !== null && files.action !== FilesAction.WRITE;
}

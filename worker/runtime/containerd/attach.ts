import { join } from 'node:path';
import { TasksService } from '../../../proto/containerd.ts';
import { type AttachSession, RuntimeError } from '../../runtime.ts';
import { parseSignal } from '../process/exit.ts';
import { TerminalSizes } from '../terminal-sizes.ts';
import { openFifoWriter } from './fifo.ts';
import type { ContainerdShared } from './shared.ts';
import { signalNumber } from './signals.ts';

/** Where a container that has a terminal takes its input from, in the directory of its files. */
export const INPUT_FIFO = 'in';

/** See `TaskController.attach`. */
export function attachToContainer(
  { io, records, containerd }: ContainerdShared,
  containerId: string,
  terminal: boolean,
): AttachSession {
  const path = join(records.files(containerId), INPUT_FIFO);
  const stdin = terminal && io.stat(path) !== undefined ? openFifoWriter(path) : undefined;
  const sizes = new TerminalSizes(({ columns, rows }) => {
    const size = { containerId, width: columns, height: rows };
    return containerd.call(TasksService.resizePty, size);
  });
  return {
    terminal,
    stdin,
    resize(size) {
      if (terminal) sizes.resize(size);
    },
    async signal(name) {
      const signal = parseSignal(name);
      if (signal === undefined) throw new RuntimeError('INVALID_SPEC', `${name} is no signal`);
      await containerd.call(TasksService.kill, { containerId, signal: signalNumber(signal) });
    },
    // The container itself keeps its input open: it does not end with who typed.
    close: () => void stdin?.destroy(),
  };
}

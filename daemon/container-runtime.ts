import { arch } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../shared/errors.ts';
import type {
  ContainerdRuntime,
  ContainerdRuntimeDeps,
} from '../worker/runtime/containerd/containerd-runtime.ts';

/** The runtime of containers, with what only the daemon calls. */
export type ContainerRuntime = ContainerdRuntime;

const DEFAULT_SOCKET = '/run/containerd/containerd.sock';
/** As registries name them. */
const ARCHITECTURES: { readonly [node: string]: string } = { x64: 'amd64', arm64: 'arm64' };
/** Of this machine, as registries name it. */
export const ARCHITECTURE = ARCHITECTURES[arch()] ?? arch();

/**
 * The containerd of this machine, when this daemon is root and it answers. A node that once had one
 * keeps it, also while it is down: its containers are there. `CONTAINERD_ADDRESS` names another socket.
 */
export async function findContainerRuntime(
  deps: Omit<ContainerdRuntimeDeps, 'architecture' | 'socketPath' | 'env'>,
): Promise<ContainerRuntime | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const { io, log, stateDir } = deps;
  const choice = join(stateDir, 'containers', 'engine');
  const kept = io.read(choice)?.toString('utf8').trim() ?? '';
  const socketPath = kept || (process.env['CONTAINERD_ADDRESS'] ?? DEFAULT_SOCKET);
  if (kept === '' && io.stat(socketPath) === undefined) return undefined;
  // Loaded here: a node without containers does without it.
  const { ContainerdRuntime } = await import('../worker/runtime/containerd/containerd-runtime.ts');
  const runtime = new ContainerdRuntime({
    ...deps,
    architecture: ARCHITECTURE,
    socketPath,
    env: process.env,
  });
  try {
    if (kept === '') await runtime.answers();
    await runtime.open();
    io.write(choice, `${socketPath}\n`);
    log.info({ socket: socketPath }, 'containers run on containerd');
    return runtime;
  } catch (error) {
    await runtime.close();
    log.warn({ socket: socketPath, error: messageOf(error) }, 'no containers on this node');
    return undefined;
  }
}

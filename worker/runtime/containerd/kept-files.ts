import type { MountPoint } from '../../../proto/containerd.ts';
import { FilesAction, type FilesRequest } from '../../../proto/index.ts';
import { ACTIONS, openFiles, withMount } from '../../inside/files-session.ts';
import { type FilesSession, RuntimeError } from '../../runtime.ts';
import type { ContainerdShared } from './shared.ts';

/**
 * Files of a container that has ended, as they were left, without its volumes. `mounts`: of its snapshot;
 * none: it is gone.
 */
export async function keptFiles(
  { io, inside, records }: Pick<ContainerdShared, 'io' | 'inside' | 'records'>,
  taskId: string,
  mounts: readonly MountPoint[],
  { action, path, followLink }: FilesRequest,
): Promise<FilesSession> {
  if (action === FilesAction.WRITE) {
    const text = `task ${taskId} has ended: files come out of it, and none go in`;
    throw new RuntimeError('NOT_RUNNING', text);
  }
  const [mount] = mounts;
  if (mount === undefined) {
    throw new RuntimeError('NOT_RUNNING', `the files of task ${taskId} are gone`);
  }
  // Any directory will do to mount it on: nobody else sees that.
  const root = records.directory;
  const order = { action: ACTIONS[action], root, path, followLink, keepOwner: false, user: null };
  return openFiles(io, withMount(inside, mount, root), order);
}

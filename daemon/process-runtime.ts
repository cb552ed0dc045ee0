import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ProcessRuntime,
  type ProcessRuntimeDeps,
} from '../worker/runtime/process/process-runtime.ts';
import type { Runtime } from '../worker/runtime.ts';
import { ARCHITECTURE } from './container-runtime.ts';
import type { NodeConfig } from './node-config.ts';

type MachineDeps =
  | 'node'
  | 'publishHost'
  | 'portsDirectory'
  | 'tmpdir'
  | 'uid'
  | 'gid'
  | 'allowProcess';

/** Undefined: a root daemon runs commands of the host only when its operator said so. */
export function makeProcessRuntime(
  nodeId: string,
  { nodeName, publishAddress, allowProcess }: NodeConfig,
  deps: Omit<ProcessRuntimeDeps, MachineDeps>,
): Runtime | undefined {
  const uid = process.getuid?.() ?? 0;
  if (uid === 0 && !allowProcess) return undefined;
  return new ProcessRuntime({
    ...deps,
    node: { id: nodeId, hostname: nodeName, architecture: ARCHITECTURE },
    publishHost: publishAddress,
    portsDirectory: portsDirectory(),
    tmpdir: tmpdir(),
    uid,
    gid: process.getgid?.() ?? 0,
    allowProcess,
  });
}

/** Shared by all daemons of this user on the machine. */
export function portsDirectory(): string {
  return join(tmpdir(), `swarm-ports-${process.getuid?.() ?? 0}`);
}

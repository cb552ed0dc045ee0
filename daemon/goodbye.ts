import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { Liveness } from '../proto/index.ts';

const ASK_MS = 500;

/**
 * What a daemon that ends in order may say of itself. With systemd it will be back unless the host
 * shuts down; without it nobody can tell, and silence counts.
 */
export function reasonForEnding(env: NodeJS.ProcessEnv): Promise<Liveness> {
  const isService = env['INVOCATION_ID'] !== undefined && existsSync('/run/systemd/system');
  if (!isService) return Promise.resolve(Liveness.UNKNOWN);
  return new Promise((resolve) => {
    execFile('systemctl', ['is-system-running'], { timeout: ASK_MS }, (_error, stdout) => {
      resolve(stdout.trim() === 'stopping' ? Liveness.LEAVING : Liveness.RESTARTING);
    });
  });
}

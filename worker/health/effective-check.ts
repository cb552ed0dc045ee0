import { HealthCheck } from '../../proto/index.ts';
import type { ImageCheck } from '../../shared/distribution/documents.ts';

/**
 * The check of a task: field by field what its service asks for, else what its image brings along
 * (`HEALTHCHECK`), as Docker has it. Null: it has none.
 */
export function effectiveCheck(
  asked: HealthCheck | null,
  image: ImageCheck | undefined,
): HealthCheck | null {
  if (asked === null && image === undefined) return null;
  const given = asked ?? HealthCheck.create();
  const isOwn = given.cmd.length > 0 || given.http !== '' || given.tcp !== '';
  const cmd = isOwn ? given.cmd : (image?.test ?? []);
  return HealthCheck.with(given, {
    cmd: inShell(cmd, image?.shell ?? []),
    intervalMs: given.intervalMs || (image?.intervalMs ?? 0),
    timeoutMs: given.timeoutMs || (image?.timeoutMs ?? 0),
    retries: given.retries || (image?.retries ?? 0),
    startPeriodMs: given.startPeriodMs || (image?.startPeriodMs ?? 0),
    startIntervalMs: given.startIntervalMs || (image?.startIntervalMs ?? 0),
  });
}

/** An image may name the shell that its commands are for (`SHELL`). */
function inShell(cmd: readonly string[], shell: readonly string[]): readonly string[] {
  const [kind, ...rest] = cmd;
  if (kind !== 'CMD-SHELL' || shell.length === 0) return cmd;
  return ['CMD', ...shell, ...rest];
}

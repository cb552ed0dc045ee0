import type { HealthCheck, Probe } from '../../proto/index.ts';
import { check, checkText } from './field.ts';

const HTTP_FORM = /^:(\d{1,5})(\/[^\s\p{Cc}]*)$/u;
const TCP_FORM = /^:(\d{1,5})$/;
const CMD_KINDS = ['CMD-SHELL', 'CMD', 'NONE'];

export function validateHealth(health: HealthCheck, hasImage: boolean): void {
  const kinds = [health.cmd.length > 0, health.http !== '', health.tcp !== ''];
  const count = kinds.filter(Boolean).length;
  const allowed = 'exactly one of --health-cmd, --health-http and --health-tcp';
  check(count <= 1, 'health', 'more than one kind of check is given', allowed);
  // The intervals alone change the check that an image brings along; a command brings none.
  check(count === 1 || hasImage, 'health', 'no check is given', allowed);
  if (health.cmd.length > 0) validateCommand(health.cmd);
  if (health.http !== '') checkHttp(health.http, 'health.http');
  if (health.tcp !== '') checkTcp(health.tcp, 'health.tcp');
  check(health.retries <= 1_000, 'health.retries', `${health.retries}`, '1 to 1000');
}

/** Readiness: exactly one of http and tcp. */
export function validateProbe(probe: Probe): void {
  const count = [probe.http !== '', probe.tcp !== ''].filter(Boolean).length;
  check(count === 1, 'ready', `${count} checks are given`, 'one of --ready-http and --ready-tcp');
  if (probe.http !== '') checkHttp(probe.http, 'ready.http');
  if (probe.tcp !== '') checkTcp(probe.tcp, 'ready.tcp');
}

function validateCommand(cmd: readonly string[]): void {
  const [kind, ...rest] = cmd;
  check(
    CMD_KINDS.includes(kind!),
    'health.cmd',
    `"${kind}" is no kind of check`,
    '["CMD-SHELL", TEXT], ["CMD", ARG...] or ["NONE"]',
  );
  const fits =
    kind === 'NONE' ? rest.length === 0 : kind === 'CMD' ? rest.length > 0 : rest.length === 1;
  check(
    fits,
    'health.cmd',
    `${kind} with ${rest.length} arguments`,
    'CMD-SHELL: one, CMD: at least one, NONE: none',
  );
  check(
    kind === 'NONE' || rest[0]!.trim() !== '',
    'health.cmd',
    'the command is empty',
    'a command',
  );
  for (const word of rest) checkText(word, 'health.cmd');
}

function checkHttp(text: string, field: string): void {
  const port = HTTP_FORM.exec(text)?.[1];
  check(
    port !== undefined && isPort(port),
    field,
    `"${text}" is no check`,
    ':PORT/PATH, as in :8080/health',
  );
}

function checkTcp(text: string, field: string): void {
  const port = TCP_FORM.exec(text)?.[1];
  check(port !== undefined && isPort(port), field, `"${text}" is no check`, ':PORT, as in :6379');
}

function isPort(text: string): boolean {
  return Number(text) >= 1 && Number(text) <= 65_535;
}

import { ImageError } from '../../../shared/distribution/image-error.ts';
import { ContainerdError } from '../../containerd.ts';
import { RuntimeError } from '../../runtime.ts';

/** What the agent can act on, from what containerd, runc or a registry said. */
export function asRuntimeError(error: unknown, doing: string): unknown {
  if (error instanceof ImageError)
    return new RuntimeError(error.code, error.message, error.temporary, error);
  if (!(error instanceof ContainerdError)) return error;
  const text = error.message;
  if (error.code === 'UNAVAILABLE' || error.code === 'CANCELLED') {
    return new RuntimeError(
      'UNAVAILABLE',
      `can't ${doing}: containerd does not answer`,
      true,
      error,
    );
  }
  if (/no space left/i.test(text)) {
    return new RuntimeError('RESOURCE', `can't ${doing}: the disk is full`, true, error);
  }
  const command = /exec: "?([^":]+)"?: (stat [^:]*: )?(executable file not found|no such file)/i;
  const missing = command.exec(text);
  if (missing) {
    return new RuntimeError('COMMAND_NOT_FOUND', `the image has no command ${missing[1]}`);
  }
  const denied = /exec: "?([^":]+)"?: permission denied/i.exec(text);
  if (denied) {
    return new RuntimeError('NOT_EXECUTABLE', `${denied[1]} in the image is not executable`);
  }
  const place = /mkdir ([^:]+): (not a directory|file exists)/.exec(text)?.[1];
  if (place !== undefined) {
    const why = `the working directory ${place} is not a directory in the image`;
    return new RuntimeError('WORKDIR_NOT_FOUND', why);
  }
  return new RuntimeError('IO', `can't ${doing}: ${brief(text)}`, false, error);
}

/** Runc's errors are wrapped many times: the last part says what happened. */
function brief(text: string): string {
  const parts = text.split(': ').filter((part) => part !== 'unknown');
  return parts.slice(-3).join(': ').slice(0, 300);
}

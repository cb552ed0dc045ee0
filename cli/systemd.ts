import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { SwarmError } from '../shared/errors.ts';

const UNIT = 'swarm.service';

/** True when this machine's systemd has our unit: then it starts the daemon, not we. */
export function hasUnit(): boolean {
  return (
    existsSync('/run/systemd/system') &&
    ['/etc/systemd/system', '/usr/lib/systemd/system', '/lib/systemd/system'].some((dir) =>
      existsSync(`${dir}/${UNIT}`),
    )
  );
}

/** `systemctl start swarm.service`. Nothing happens where it has started already. */
export function startUnit(): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile('systemctl', ['start', UNIT], (error, _out, text) => {
      if (error === null) resolve();
      else {
        reject(
          new SwarmError('NO_DAEMON', `systemctl start ${UNIT} failed: ${text.trim()}.`, {
            cause: error,
            command: `systemctl status ${UNIT}`,
          }),
        );
      }
    });
  });
}

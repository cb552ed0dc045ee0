import { connect } from 'node:net';
import type { Clock } from '../../../shared/clock.ts';
import { splitHostPort } from './address.ts';

/** `refused`: the machine answers and nothing listens there. `open`: something does. */
export type ProbeResult = 'open' | 'refused' | 'unknown';
export type Probe = (address: string) => Promise<ProbeResult>;

/** Dials host:port once, without a word, for at most `timeoutMs`. Never rejects. */
export function tcpProbe(clock: Clock, timeoutMs: number): Probe {
  return (address) =>
    new Promise((resolve) => {
      const socket = connect(splitHostPort(address));
      const timer = clock.setTimer(timeoutMs, () => finish('unknown'));
      const finish = (result: ProbeResult): void => {
        timer.cancel();
        socket.destroy();
        resolve(result);
      };
      socket.once('connect', () => finish('open'));
      socket.once('error', (error: NodeJS.ErrnoException) =>
        finish(error.code === 'ECONNREFUSED' ? 'refused' : 'unknown'),
      );
    });
}

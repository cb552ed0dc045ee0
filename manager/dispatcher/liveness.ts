import { Liveness, type Liveness as LivenessValue } from '../../proto/index.ts';
import { DEFAULTS } from '../../shared/limits.ts';

/** What is known of one node's silence; all times on the leader's monotonic clock. */
export interface Heard {
  /** When the last message came. */
  readonly heardMs: number;
  readonly connected: boolean;
  /** The stream was reset: its host or daemon is gone, rather than slow. */
  readonly reset: boolean;
  /** What the daemon said at its end. */
  readonly goodbye: LivenessValue | undefined;
  readonly goodbyeMs: number;
}

export interface Graces {
  readonly nodeGraceMs: number;
  readonly restartGraceMs: number;
}

/** What a node's liveness is by now. */
export function judgeLiveness(heard: Heard, graces: Graces, nowMs: number): LivenessValue {
  if (heard.goodbye === Liveness.LEAVING) {
    return heard.connected ? Liveness.LEAVING : Liveness.DOWN;
  }
  if (heard.goodbye === Liveness.RESTARTING) {
    const over = nowMs - heard.goodbyeMs >= graces.restartGraceMs;
    return over ? Liveness.DOWN : Liveness.RESTARTING;
  }
  const silentMs = nowMs - heard.heardMs;
  const graceMs = heard.reset ? (graces.nodeGraceMs * 3) / 4 : graces.nodeGraceMs;
  if (silentMs >= graceMs) return Liveness.DOWN;
  return silentMs >= suspectAfterMs(graces) ? Liveness.SUSPECT : Liveness.READY;
}

/** Half of a grace shorter than usual, so that suspicion always comes before the end. */
function suspectAfterMs(graces: Graces): number {
  return Math.min(DEFAULTS.suspectMs, graces.nodeGraceMs / 2);
}

/** What is said about a change, for people. */
export function livenessText(liveness: LivenessValue, heard: Heard, nowMs: number): string {
  const seconds = ((nowMs - heard.heardMs) / 1000).toFixed(1);
  switch (liveness) {
    case Liveness.READY:
      return '';
    case Liveness.SUSPECT:
      return `silent for ${seconds} s`;
    case Liveness.RESTARTING:
      return 'its daemon restarts';
    case Liveness.LEAVING:
      return 'its host shuts down';
    default:
      if (heard.goodbye === Liveness.LEAVING) return 'its host was shut down';
      if (heard.goodbye === Liveness.RESTARTING) return 'its daemon did not come back';
      return heard.reset
        ? `its connection was reset and it did not come back within ${seconds} s`
        : `silent for ${seconds} s`;
  }
}

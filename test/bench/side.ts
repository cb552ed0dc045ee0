/** What both sides can do, so that the same script measures them. Times in milliseconds. */
export interface Side {
  readonly name: string;
  /** Of the API's answer to the last task seen RUNNING by a poll every 50 ms. */
  create(service: Wanted): Promise<number>;
  /** Of the answer to the last task of the new version RUNNING. */
  update(service: Wanted): Promise<number>;
  /** Of the answer to no task and no container of it left. */
  remove(name: string): Promise<number>;
  /** Resolves with how its only task ended, in words of this side. */
  ended(name: string): Promise<{ readonly code: number; readonly oom: boolean }>;
  /** CPU nanoseconds that tasks of the service have used, the first first. */
  cpuNanos(name: string): Promise<number>;
  /** Resident memory of its daemons and of what runs beside each container, in MB. */
  memory(): { readonly daemons: number; readonly beside: number };
  stop(): Promise<void>;
}

export interface Wanted {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly replicas: number;
  /** In its environment: another one is another task. */
  readonly version?: string;
  readonly memoryBytes?: number;
  readonly nanoCpus?: number;
  /** Weight among those that want the same processors. */
  readonly cpuShares?: number;
  /** Default: it is started again when it ends. */
  readonly once?: boolean;
}

const POLL_MS = 50;

/** Asks every 50 ms from now on; resolves with the time until `done`. */
export async function pollUntil(what: string, done: () => Promise<boolean>): Promise<number> {
  const startMs = performance.now();
  for (let next = startMs; ; next += POLL_MS) {
    if (await done()) return performance.now() - startMs;
    if (performance.now() - startMs > 180_000) throw new Error(`waited in vain for ${what}`);
    const restMs = next + POLL_MS - performance.now();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, restMs)));
  }
}

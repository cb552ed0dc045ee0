import type { Clock } from '../../shared/clock.ts';
import { ImageError } from '../../shared/distribution/image-error.ts';
import type { ImageReference } from '../../shared/distribution/reference.ts';
import type { Registry } from '../../shared/distribution/registry.ts';
import type { RegistryAuth } from '../../shared/distribution/source.ts';
import { LIMITS } from '../../shared/limits.ts';

/** What a manager asks registries. Rejections are ImageErrors; no answer comes later than the limit. */
export interface RegistryLookup {
  /** The digest that the reference stands for now. */
  digestOf(reference: ImageReference, auth: RegistryAuth | undefined): Promise<string>;
  /** linux/amd64, ... of the image of this digest. */
  platformsOf(
    reference: ImageReference,
    digest: string,
    auth: RegistryAuth | undefined,
  ): Promise<readonly string[]>;
  /** Rejects with IMAGE_AUTH where the registry does not take the login. */
  checkLogin(host: string, auth: RegistryAuth): Promise<void>;
}

export function registryLookup(registry: Registry, clock: Clock): RegistryLookup {
  return {
    digestOf: (reference, auth) =>
      within(clock, reference.host, async (signal) =>
        registry.image(reference, auth).digest(signal),
      ),
    platformsOf: (reference, digest, auth) =>
      within(clock, reference.host, (signal) =>
        registry.image({ ...reference, digest }, auth).platforms(signal),
      ),
    checkLogin: (host, auth) =>
      within(clock, host, (signal) => registry.checkLogin(host, auth, signal)),
  };
}

async function within<T>(
  clock: Clock,
  host: string,
  fn: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const text = `the registry ${host} did not answer within ${LIMITS.registryLookupMs / 1_000} s`;
  const timer = clock.setTimer(LIMITS.registryLookupMs, () =>
    abort.abort(new ImageError('PULL_FAILED', text, true)),
  );
  try {
    return await fn(abort.signal);
  } finally {
    timer.cancel();
  }
}

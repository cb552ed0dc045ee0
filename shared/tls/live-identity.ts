import { createSecureContext } from 'node:tls';
import { ChannelCredentials, experimental, type ServerCredentials } from '@grpc/grpc-js';
import { type ChannelSecurity, checkManager } from './channel-security.ts';
import type { Identity } from './identity.ts';

type CaListener = experimental.CaCertificateUpdateListener;
type IdentityListener = experimental.IdentityCertificateUpdateListener;

/**
 * A node's identity in use: servers and clients made from it take up a new certificate without a
 * restart. The one file that touches grpc-js's experimental certificate providers.
 */
export class LiveIdentity implements ChannelSecurity, experimental.CertificateProvider {
  #current: Identity;
  #credentials: ChannelCredentials;
  #failure: string | undefined;
  readonly #changeListeners = new Set<() => void>();
  readonly #caListeners = new Set<CaListener>();
  readonly #identityListeners = new Set<IdentityListener>();

  constructor(identity: Identity) {
    this.#current = identity;
    this.#credentials = this.#channelCredentials();
  }

  get current(): Identity {
    return this.#current;
  }

  /** From now on new connections, out and in, show this certificate; those that are there stay. */
  set(identity: Identity): void {
    this.#current = identity;
    this.#credentials = this.#channelCredentials();
    for (const fn of this.#caListeners) fn(this.#ca());
    for (const fn of this.#identityListeners) fn(this.#identity());
    for (const fn of this.#changeListeners) fn();
  }

  onChange(fn: () => void): () => void {
    this.#changeListeners.add(fn);
    return () => this.#changeListeners.delete(fn);
  }

  credentials(): ChannelCredentials {
    return this.#credentials;
  }

  failure(): string | undefined {
    return this.#failure;
  }

  /**
   * Asks every caller for a certificate and lets those without one in: joining and renewing an
   * expired certificate need that. The interceptor before every RPC refuses them elsewhere.
   */
  serverCredentials(): ServerCredentials {
    return experimental.createCertificateProviderServerCredentials(this, this, false);
  }

  addCaCertificateListener(fn: CaListener): void {
    this.#caListeners.add(fn);
    // Not from inside the call: a server adds its own watcher only after this one.
    queueMicrotask(() => fn(this.#ca()));
  }
  removeCaCertificateListener(fn: CaListener): void {
    this.#caListeners.delete(fn);
  }
  addIdentityCertificateListener(fn: IdentityListener): void {
    this.#identityListeners.add(fn);
    queueMicrotask(() => fn(this.#identity()));
  }
  removeIdentityCertificateListener(fn: IdentityListener): void {
    this.#identityListeners.delete(fn);
  }

  #ca(): experimental.CaCertificateUpdate {
    return { caCertificate: Buffer.from(this.#current.rootPem) };
  }
  #identity(): experimental.IdentityCertificateUpdate {
    return {
      certificate: Buffer.from(this.#current.certificatePem),
      privateKey: Buffer.from(this.#current.keyPem),
    };
  }
  #channelCredentials(): ChannelCredentials {
    const { rootPem, certificatePem, keyPem, subject } = this.#current;
    const context = createSecureContext({ ca: rootPem, cert: certificatePem, key: keyPem });
    return ChannelCredentials.createFromSecureContext(context, {
      checkServerIdentity: (_host, certificate) => {
        this.#failure = checkManager(certificate, subject.clusterId);
        return this.#failure === undefined ? undefined : new Error(this.#failure);
      },
    });
  }
}

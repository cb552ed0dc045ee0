import { createSecureContext, type PeerCertificate } from 'node:tls';
import { ChannelCredentials } from '@grpc/grpc-js';
import { Role } from '../../proto/index.ts';
import { parseSubject } from './subject.ts';

/**
 * How a client secures a connection. A peer is known by what its certificate says (signed by the
 * cluster's root, role manager), never by its host name.
 */
export interface ChannelSecurity {
  /** The same object until the identity changes: clients that share it share connections. */
  credentials(): ChannelCredentials;
  /** Why the last peer's certificate was refused here; undefined when none was. */
  failure(): string | undefined;
  /** Called when new calls should be made with new credentials; returns the way to end that. */
  onChange(fn: () => void): () => void;
}

/** Checks that a certificate, already verified against the root, belongs to a manager. */
export function checkManager(certificate: PeerCertificate, clusterId: string): string | undefined {
  const subject = parseSubject(certificate.subject);
  if (subject === undefined) return 'its certificate is not one of a swarm node';
  if (clusterId !== '' && subject.clusterId !== clusterId) return 'it belongs to another cluster';
  if (subject.role !== Role.MANAGER) return `node ${subject.nodeId} is not a manager`;
  return undefined;
}

/** One fixed way to verify the other end, for connections made before a node has an identity. */
class FixedSecurity implements ChannelSecurity {
  readonly #credentials: ChannelCredentials;
  #failure: string | undefined;

  constructor(rootPem: string | undefined, clusterId: string) {
    const context = createSecureContext(rootPem === undefined ? {} : { ca: rootPem });
    this.#credentials = ChannelCredentials.createFromSecureContext(context, {
      rejectUnauthorized: rootPem !== undefined,
      checkServerIdentity: (_host, certificate) => {
        this.#failure = checkManager(certificate, clusterId);
        return this.#failure === undefined ? undefined : new Error(this.#failure);
      },
    });
  }
  credentials(): ChannelCredentials {
    return this.#credentials;
  }
  failure(): string | undefined {
    return this.#failure;
  }
  onChange(): () => void {
    return () => undefined;
  }
}

/** No client certificate; the server's must be signed by `rootPem`. */
export function anonymousSecurity(rootPem: string, clusterId = ''): ChannelSecurity {
  return new FixedSecurity(rootPem, clusterId);
}

/**
 * Encrypts, and believes nobody: only for fetching the root, whose digest the join token holds.
 */
export function untrustedSecurity(): ChannelSecurity {
  return new FixedSecurity(undefined, '');
}

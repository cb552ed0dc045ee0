import { type ChannelOptions, Metadata } from '@grpc/grpc-js';
import type { Codec } from '../../proto/index.ts';
import { SwarmError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { CallOptions, Consistency } from './rpc.ts';

/** What both ends agree on: bytes of messages, names of metadata, channel options. */

const REQUEST_ID_KEY = 'swarm-request-id';
const CONSISTENCY_KEY = 'swarm-consistency';
const FORWARDED_KEY = 'swarm-forwarded';
const REQUEST_ID_CHARS_MAX = 128;

/** The bytes of a message. What was encoded before passes through: it is encoded once for many. */
export function serializer<T>(codec: Codec<T>): (value: T | Uint8Array) => Buffer {
  return (value) => asBuffer(value instanceof Uint8Array ? value : codec.encode(value));
}

export function deserializer<T>(codec: Codec<T>): (bytes: Buffer) => T {
  return (bytes) => codec.decode(bytes);
}

/** The same memory seen as a Buffer. */
export function asBuffer(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function metadataOf(options: CallOptions): Metadata {
  const metadata = new Metadata();
  if (options.requestId !== undefined && options.requestId !== '') {
    if (!isRequestId(options.requestId)) {
      throw new SwarmError('INVALID_ARGUMENT', 'A request id is at most 128 plain characters.');
    }
    metadata.set(REQUEST_ID_KEY, options.requestId);
  }
  if (options.consistency !== undefined) metadata.set(CONSISTENCY_KEY, options.consistency);
  if (options.forwarded === true) metadata.set(FORWARDED_KEY, '1');
  for (const [name, value] of Object.entries(options.headers ?? {})) metadata.set(name, value);
  return metadata;
}

function isRequestId(text: string): boolean {
  return text.length <= REQUEST_ID_CHARS_MAX && /^[\x21-\x7e]+$/.test(text);
}

export interface CallMetadata {
  readonly requestId: string;
  readonly consistency: Consistency;
  readonly forwarded: boolean;
}

export function readMetadata(metadata: Metadata): CallMetadata {
  const requestId = metadata.get(REQUEST_ID_KEY)[0];
  return {
    requestId: typeof requestId === 'string' && isRequestId(requestId) ? requestId : '',
    consistency: metadata.get(CONSISTENCY_KEY)[0] === 'stale' ? 'stale' : 'linearizable',
    forwarded: metadata.get(FORWARDED_KEY)[0] === '1',
  };
}

/** How many bytes the receiver of a stream lets the sender have under way. */
const FLOW_WINDOW_BYTES = 256 << 10;

const COMMON_OPTIONS = {
  'grpc.keepalive_permit_without_calls': 1,
  'grpc-node.flow_control_window': FLOW_WINDOW_BYTES,
};

// Servers keep gRPC's channelz: without it `forceShutdown` does not know the connections to cut.
export const SERVER_OPTIONS: ChannelOptions = {
  ...COMMON_OPTIONS,
  'grpc.max_receive_message_length': LIMITS.rpcMessageBytesMax,
  'grpc.max_send_message_length': LIMITS.rpcAnswerBytesMax,
};

/** Of a unix socket the kernel itself tells when the other end is gone. */
export const TLS_SERVER_OPTIONS: ChannelOptions = {
  ...SERVER_OPTIONS,
  'grpc.keepalive_time_ms': LIMITS.rpcServerKeepaliveMs,
  'grpc.keepalive_timeout_ms': LIMITS.rpcKeepaliveMs,
};

export const CLIENT_OPTIONS: ChannelOptions = {
  ...COMMON_OPTIONS,
  'grpc.enable_channelz': 0,
  'grpc.max_receive_message_length': LIMITS.rpcAnswerBytesMax,
  'grpc.max_send_message_length': LIMITS.rpcMessageBytesMax,
  'grpc.initial_reconnect_backoff_ms': LIMITS.rpcReconnectMinMs,
  'grpc.max_reconnect_backoff_ms': LIMITS.rpcReconnectMaxMs,
  'grpc.dns_min_time_between_resolutions_ms': 1_000,
  'grpc.service_config_disable_resolution': 1,
  // Cluster traffic never goes through what `http_proxy` in somebody's environment names.
  'grpc.enable_http_proxy': 0,
  // Nothing is kept for a retry inside gRPC: then the callback of a write says that it was sent,
  // which is what `unsentBytes` counts.
  'grpc.per_rpc_retry_buffer_size': 0,
};

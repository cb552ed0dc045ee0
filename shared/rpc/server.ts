import { chmod, chown, rename, rm, unlink } from 'node:fs/promises';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { AnyMethod } from '../../proto/index.ts';
import type { Clock } from '../clock.ts';
import { messageOf, SwarmError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { Log } from '../log.ts';
import type { Handlers, ServiceDefinition } from './rpc.ts';
import { type Authorizer, RULES, type Rule } from './rules.ts';
import { type AnyHandler, type GrpcHandler, implement, type Transport } from './server-calls.ts';
import { deserializer, SERVER_OPTIONS, serializer, TLS_SERVER_OPTIONS } from './wire.ts';

/** Who may open a local socket: by its mode and, where one is given, its group. */
export interface SocketAccess {
  readonly mode: number;
  readonly gid?: number;
}

export interface RpcServerDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly authorizer: Authorizer;
}

interface Registered {
  readonly definition: ServiceDefinition;
  readonly handlers: { readonly [name: string]: AnyHandler };
  readonly rules: { readonly [path: string]: Rule };
}

interface Listener {
  readonly server: Server;
  readonly transport: Transport;
  readonly socketPath: string;
}

/**
 * Serves services on any number of unix sockets and TLS ports. Every call passes the rules of
 * `rules.ts` before its handler. Services can be added and taken away while it listens.
 */
export class RpcServer {
  readonly #deps: RpcServerDeps;
  readonly #services: Registered[] = [];
  readonly #listeners: Listener[] = [];

  constructor(deps: RpcServerDeps) {
    this.#deps = deps;
  }

  addService<S extends ServiceDefinition>(
    definition: S,
    handlers: Handlers<S>,
    rules: { readonly [path: string]: Rule } = RULES,
  ): void {
    const service: Registered = {
      definition,
      handlers: handlers as { readonly [name: string]: AnyHandler },
      rules,
    };
    this.#services.push(service);
    for (const listener of this.#listeners) this.#register(listener, service);
  }

  /** New calls of it are refused as unknown; calls under way go on. */
  removeService(definition: ServiceDefinition): void {
    const at = this.#services.findIndex((service) => service.definition === definition);
    if (at < 0) return;
    this.#services.splice(at, 1);
    for (const listener of this.#listeners) {
      listener.server.removeService(grpcDefinition(definition) as never);
    }
  }

  /**
   * Listens on a unix socket. It appears under its name with its mode already set and replaces a
   * stale one; that no living daemon owns `path` is for the caller to know (the state directory's
   * lock). `path` must leave room for 4 more bytes.
   */
  async listenUnix(path: string, access: SocketAccess = { mode: 0o600 }): Promise<void> {
    if (Buffer.byteLength(path) > LIMITS.socketPathBytesMax) {
      throw new SwarmError(
        'STATE_DIR',
        `The socket path ${path} is longer than ${LIMITS.socketPathBytesMax} bytes.`,
        { advice: 'Choose a shorter one with --socket.' },
      );
    }
    const listener = this.#listener('local', path);
    const fresh = `${path}.new`;
    await rm(fresh, { force: true });
    try {
      await bind(listener.server, `unix:${fresh}`, ServerCredentials.createInsecure());
      if (access.gid !== undefined) await chown(fresh, -1, access.gid);
      await chmod(fresh, access.mode);
      await rename(fresh, path);
    } catch (error) {
      listener.server.forceShutdown();
      throw socketError(path, error);
    }
    this.#listeners.push(listener);
  }

  /**
   * Listens on host:port with mutual TLS. Resolves with the port (0 asks for any).
   * Rejects with PORT_TAKEN, INVALID_ARGUMENT (an address that is not of this machine).
   */
  async listenTls(host: string, port: number, credentials: ServerCredentials): Promise<number> {
    const listener = this.#listener('tls', '');
    const shown = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
    try {
      const bound = await bind(listener.server, `${shown}:${port}`, credentials);
      this.#listeners.push(listener);
      return bound;
    } catch (error) {
      listener.server.forceShutdown();
      throw portError(`${shown}:${port}`, error);
    }
  }

  /**
   * Stops listening. Calls under way may end within `graceMs`; what goes on is cut, and its other
   * ends see a reset.
   */
  async stop(graceMs = 0): Promise<void> {
    for (const listener of this.#listeners.splice(0)) {
      if (graceMs > 0) await this.#untilIdle(listener.server, graceMs);
      listener.server.forceShutdown();
      if (listener.socketPath !== '') await unlink(listener.socketPath).catch(() => undefined);
    }
  }

  #untilIdle(server: Server, graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#deps.clock.setTimer(graceMs, resolve);
      server.tryShutdown(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #listener(transport: Transport, socketPath: string): Listener {
    const options = transport === 'tls' ? TLS_SERVER_OPTIONS : SERVER_OPTIONS;
    const listener = { server: new Server(options), transport, socketPath };
    for (const service of this.#services) this.#register(listener, service);
    return listener;
  }

  #register(listener: Listener, service: Registered): void {
    const implementation: { [name: string]: GrpcHandler } = {};
    for (const [name, method] of Object.entries(service.definition)) {
      const handler = service.handlers[name];
      if (handler === undefined) throw new Error(`no handler for ${method.path}`);
      const rule = Object.hasOwn(service.rules, method.path)
        ? service.rules[method.path]
        : undefined;
      const bound = handler.bind(service.handlers) as AnyHandler;
      const guarded = { transport: listener.transport, method, rule, handler: bound };
      implementation[name] = implement(guarded, this.#deps);
    }
    listener.server.addService(
      grpcDefinition(service.definition) as never,
      implementation as never,
    );
  }
}

function grpcDefinition(definition: ServiceDefinition): object {
  const entries = Object.entries(definition).map(([name, method]) => [name, grpcMethod(method)]);
  return Object.fromEntries(entries) as object;
}

function grpcMethod(method: AnyMethod): object {
  return {
    path: method.path,
    requestStream: method.requestStream,
    responseStream: method.responseStream,
    requestSerialize: serializer(method.request),
    requestDeserialize: deserializer(method.request),
    responseSerialize: serializer(method.response),
    responseDeserialize: deserializer(method.response),
  };
}

function bind(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error !== null) reject(error);
      else resolve(port);
    });
  });
}

function socketError(path: string, error: unknown): SwarmError {
  return new SwarmError('STATE_DIR', `Cannot listen on the socket ${path}: ${messageOf(error)}.`, {
    cause: error,
    advice: 'Choose another socket with --socket, on a local file system.',
  });
}

function portError(address: string, error: unknown): SwarmError {
  const text = messageOf(error);
  if (text.includes('EADDRINUSE')) {
    return new SwarmError('PORT_TAKEN', `${address} is in use by another program.`, {
      cause: error,
      advice: 'Choose another one with --listen-addr HOST:PORT.',
    });
  }
  if (text.includes('EADDRNOTAVAIL')) {
    return new SwarmError('INVALID_ARGUMENT', `${address} is not an address of this machine.`, {
      cause: error,
    });
  }
  return new SwarmError('INVALID_ARGUMENT', `Cannot listen on ${address}: ${text}.`, {
    cause: error,
  });
}

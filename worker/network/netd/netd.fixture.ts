/** What the tests of netd share: rows, backends, clients, and netd's own script built once. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { type Init, LoadBalanced, NetdRows, Protocol, PublishMode } from '../../../proto/index.ts';

export const NODE_ID = 'node-one';

/** A directory that is removed after the test, when `before` is done. */
export function temporaryDirectory(t: TestContext, before?: () => Promise<void>): string {
  const directory = mkdtempSync(join(tmpdir(), 'netd-'));
  t.after(async () => {
    await before?.();
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

/** A port that was free a moment ago. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

export interface TestBackend {
  readonly taskId: string;
  readonly port: number;
  readonly server: Server;
  readonly sockets: Set<Socket>;
}

/** A TCP server on 127.0.0.1; by default it says its name and echoes. Ended after the test. */
export async function startBackend(
  t: TestContext,
  taskId: string,
  serve: (socket: Socket) => void = (socket) => {
    socket.write(`${taskId}\n`);
    socket.pipe(socket);
  },
): Promise<TestBackend> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { taskId, port: (server.address() as { port: number }).port, server, sockets };
}

export interface RowsOptions {
  readonly index?: number;
  readonly published: number;
  readonly protocol?: Protocol;
  readonly hostMode?: boolean;
  readonly proxyProtocolV2?: boolean;
  readonly backends: readonly {
    readonly taskId: string;
    readonly port: number;
    readonly nodeId?: string;
    readonly draining?: boolean;
  }[];
}

export function service(options: RowsOptions): LoadBalanced {
  const protocol = options.protocol ?? Protocol.TCP;
  const mode = options.hostMode ? PublishMode.HOST : PublishMode.INGRESS;
  const init: Init<LoadBalanced> = {
    serviceId: 'service-one',
    serviceName: 'hello',
    ports: [
      {
        protocol,
        target: 80,
        published: options.published,
        mode,
        proxyProtocolV2: options.proxyProtocolV2 ?? false,
      },
    ],
    backends: options.backends.map(({ taskId, port, nodeId, draining }) => ({
      taskId,
      nodeId: nodeId ?? NODE_ID,
      draining: draining ?? false,
      ports: [{ protocol, target: 80, host: '127.0.0.1', port }],
    })),
  };
  return LoadBalanced.create(init);
}

export function rowsOf(options: RowsOptions): NetdRows {
  const services = [service(options)];
  return NetdRows.create({ index: options.index ?? 1, services, nodeId: NODE_ID });
}

/** A client with what it received so far. */
export class TestClient {
  readonly socket: Socket;
  text = '';

  constructor(port: number, host = '127.0.0.1') {
    this.socket = connect({ port, host, allowHalfOpen: true });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (chunk: string) => {
      this.text += chunk;
    });
    this.socket.on('error', () => undefined);
  }
  /** Resolves when this much was received; rejects when the connection ends first. */
  async until(text: string): Promise<void> {
    while (!this.text.includes(text)) {
      if (this.socket.closed || this.socket.readableEnded)
        throw new Error(`ended with ${JSON.stringify(this.text)} instead of ${text}`);
      await Promise.race(['data', 'end', 'close'].map((event) => onceOf(this.socket, event)));
    }
  }
}

/** Like `once`, without rejecting on 'error'. */
export function onceOf(emitter: NodeJS.EventEmitter, event: string): Promise<unknown> {
  return new Promise((resolve) => emitter.once(event, resolve));
}

/** The error code with which a connection ends, or `end`. */
export async function endOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    socket.once('end', () => resolve('end'));
  });
}

let script: Promise<string> | undefined;

/** Netd's test main as one plain script, as fast to start as the packaged one. */
export function netdScript(): Promise<string> {
  script ??= (async () => {
    const directory = mkdtempSync(join(tmpdir(), 'netd-script-'));
    process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
    const outfile = join(directory, 'netd.mjs');
    await build({
      entryPoints: [
        fileURLToPath(import.meta.url).replace(/netd\.fixture(\.[jt]s)$/, 'netd-main.fixture$1'),
      ],
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile,
      logLevel: 'error',
      banner: {
        js: "import{createRequire as _c}from'node:module';const require=_c(import.meta.url);",
      },
    });
    return outfile;
  })();
  return script;
}

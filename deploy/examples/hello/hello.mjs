#!/usr/bin/env node
// The example service: a small HTTP server that says which task answers. Plain JavaScript without
// dependencies, so that it runs on every node. Ends without losing a request.
import { createServer } from 'node:http';
import { Server } from 'node:net';
import { hostname } from 'node:os';

const { env } = process;
const answer = {
  task: env.SWARM_TASK_NAME ?? `hello on ${hostname()}`,
  slot: Number(env.SWARM_TASK_SLOT ?? 0),
  version: env.HELLO_VERSION ?? env.SWARM_SERVICE_VERSION ?? '1',
};
const text = `Hello from ${answer.task}, slot ${answer.slot}, version ${answer.version}\n`;
const json = `${JSON.stringify(answer)}\n`;
const SLOW_MAX_MS = 600_000;
let stopping = false;

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://hello');
  // While it stops, every answer is the last one of its connection.
  if (stopping) response.setHeader('Connection', 'close');
  switch (url.pathname) {
    case '/':
      return send(response, 200, 'text/plain; charset=utf-8', text);
    case '/json':
      return send(response, 200, 'application/json', json);
    case '/healthz':
      return send(response, 200, 'text/plain; charset=utf-8', 'ok\n');
    case '/slow':
      return sendLater(url, response);
    default:
      return send(response, 404, 'text/plain; charset=utf-8', 'not found\n');
  }
});

function sendLater(url, response) {
  const ms = Number(url.searchParams.get('ms') ?? 1_000);
  if (!(ms >= 0 && ms <= SLOW_MAX_MS))
    return send(response, 400, 'text/plain; charset=utf-8', `ms is 0 to ${SLOW_MAX_MS}\n`);
  const timer = setTimeout(() => {
    if (stopping) response.setHeader('Connection', 'close');
    send(response, 200, 'text/plain; charset=utf-8', text);
  }, ms);
  response.on('close', () => clearTimeout(timer));
}

function send(response, status, type, body) {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}

// A connection that goes quiet is left to its client: a server that closes one first resets the
// request that may be on its way.
server.keepAliveTimeout = 75_000;
server.on('clientError', (_error, socket) => {
  if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
});
server.on('error', (error) => {
  process.stderr.write(`hello cannot listen: ${error.message}\n`);
  process.exit(1);
});

// A request may be on its way over an idle connection in the moment when that is closed: each gets
// this long to bring it, and has its answer with `Connection: close`.
const LAST_REQUEST_MS = 250;

function stop() {
  if (stopping) return;
  stopping = true;
  // The close of an HTTP server would end idle connections at once; this one only stops accepting,
  // and calls back when the last connection has ended.
  Server.prototype.close.call(server, () => process.exit(0));
  setTimeout(() => server.closeIdleConnections(), LAST_REQUEST_MS);
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

// A process task without a published port shares its host's ports with all others: any free one.
const DEFAULT_PORT = env.HOST ? 0 : 8080;
server.listen(
  { port: Number(env.PORT ?? DEFAULT_PORT), host: env.HOST || '0.0.0.0', backlog: 1024 },
  () => {
    const { address, port } = server.address();
    process.stdout.write(`hello listens on ${address}:${port}\n`);
  },
);

import {
  Empty,
  InfoResponse,
  type LocalService,
  LocalTasksResponse,
  LogsItem,
  type LogsRequest,
} from '../proto/index.ts';
import { SwarmError } from '../shared/errors.ts';
import type { CallContext, Handlers } from '../shared/rpc/rpc.ts';
import type { NodeDaemon } from './node.ts';

/** What the local socket answers about this very node, in a cluster or not. */
export function localService(node: NodeDaemon): Handlers<typeof LocalService> {
  return {
    info: async () => InfoResponse.create(node.info()),
    init: (request) => node.init(request),
    join: (request) => node.join(request),
    leave: async (request) => {
      await node.leave(request.force);
      return Empty.create();
    },
    stop: async (request) => {
      // The answer goes out first: who asked sees it before the socket closes.
      setImmediate(() => void node.endProcess(request));
      return Empty.create();
    },
    missingBlobs: (request) => node.missingBlobs(request),
    uploadBlobs: (uploads) => node.uploadBlobs(uploads),
    tasks: async () => LocalTasksResponse.create({ tasks: node.localTasks() }),
    taskLogs: (request, context) => taskLogs(node, request, context),
    backup: (_request, context) => node.backup(context),
    restore: (chunks) => node.restore(chunks),
    recover: (request) => node.recover(request),
    readdress: (request) => node.readdress(request),
  };
}

const RECORDS_PER_ITEM = 256;

async function* taskLogs(
  node: NodeDaemon,
  request: LogsRequest,
  context: CallContext,
): AsyncIterable<LogsItem> {
  if (request.options === null) throw new SwarmError('INVALID_ARGUMENT', 'which logs?');
  let records = [];
  for await (const record of node.taskLogs(request, context.signal)) {
    records.push(record);
    if (!request.options.follow && records.length < RECORDS_PER_ITEM) continue;
    yield LogsItem.create({ records });
    records = [];
  }
  if (records.length > 0) yield LogsItem.create({ records });
}

import {
  type BackupChunk,
  Empty,
  InfoResponse,
  type LocalService,
  type LocalTask,
  LocalTasksResponse,
  type LogRecord,
  LogsItem,
  type LogsRequest,
  type StopRequest,
} from '../proto/index.ts';
import { SwarmError } from '../shared/errors.ts';
import type { CallContext, Handlers } from '../shared/rpc/rpc.ts';

type Answers = Handlers<typeof LocalService>;

/** The node as its local socket needs it: most calls are its own methods. */
export interface LocalNode
  extends Pick<
    Answers,
    'init' | 'join' | 'missingBlobs' | 'uploadBlobs' | 'restore' | 'recover' | 'readdress'
  > {
  info(): Partial<InfoResponse>;
  leave(force: boolean): Promise<void>;
  /** Ends the daemon; tasks go on. */
  endProcess(request: StopRequest): Promise<void>;
  localTasks(): readonly LocalTask[];
  taskLogs(request: LogsRequest, signal: AbortSignal): AsyncIterable<LogRecord>;
  backup(context: CallContext): AsyncIterable<BackupChunk>;
}

/** What the local socket answers about this very node, in a cluster or not. */
export function localService(node: LocalNode): Answers {
  return {
    info: async () => InfoResponse.create(node.info()),
    init: (request, context) => node.init(request, context),
    join: (request, context) => node.join(request, context),
    leave: async (request) => {
      await node.leave(request.force);
      return Empty.create();
    },
    stop: async (request) => {
      // The answer goes out first: who asked sees it before the socket closes.
      setImmediate(() => void node.endProcess(request));
      return Empty.create();
    },
    missingBlobs: (request, context) => node.missingBlobs(request, context),
    uploadBlobs: (uploads, context) => node.uploadBlobs(uploads, context),
    tasks: async () => LocalTasksResponse.create({ tasks: node.localTasks() }),
    taskLogs: (request, context) => taskLogs(node, request, context),
    backup: (_request, context) => node.backup(context),
    restore: (chunks, context) => node.restore(chunks, context),
    recover: (request, context) => node.recover(request, context),
    readdress: (request, context) => node.readdress(request, context),
  };
}

const RECORDS_PER_ITEM = 256;

async function* taskLogs(
  node: LocalNode,
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

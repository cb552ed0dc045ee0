/**
 * Every queue, message, retry and name has its limit here. A unit stands last in the name; one
 * sentence says what happens at the limit.
 */
export const LIMITS = {
  // -- store and raft
  /** A group of updates is closed before the function that would take it over this. */
  entryBytesMax: 1 << 20,
  /** One function alone may write this much; more is INVALID_SPEC. */
  entryBytesHardMax: 1.5 * (1 << 20),
  /** More waiting updates are answered OVERLOADED. */
  updatesWaitingMax: 10_000,
  /** Oldest event rows go first. */
  eventBytesMax: 8 << 20,
  /** Answers to requests are kept so long, in case they are repeated (`writeDeadlineMs` at most) … */
  answerKeepMs: 10 * 60_000,
  /** … but where there are more than so many, only so long. */
  answersMax: 200_000,
  answerKeepMinMs: 2 * 60_000,
  revisionsKept: 20,
  /** All that a manager has on disk is read again this often, in case that it rots. */
  scrubEveryMs: 24 * 60 * 60_000,
  raftLogKeepEntries: 5_000,
  raftCompactEveryEntries: 10_000,
  raftCompactEveryBytes: 64 << 20,
  raftLogHardMaxEntries: 50_000,
  raftLogHardMaxBytes: 256 << 20,
  /** Older log entries than these are read again from the disk when a member asks for them. */
  raftLogMemoryBytesMax: 16 << 20,
  raftMessageBytesMax: 1 << 20,
  raftInflightMessagesMax: 256,
  raftInflightBytesMax: 16 << 20,
  raftUncommittedBytesMax: 64 << 20,
  raftPeerQueueBytesMax: 4 << 20,
  raftPeerQueueMessagesMax: 256,
  snapshotChunkBytesMax: 256 << 10,
  /** Bytes a second of one snapshot on its way to a member: others need the line as well. */
  snapshotBytesPerSecondMax: 50 << 20,
  /** A learner that has not caught up by then is given up, with the reason. */
  learnerCatchUpMs: 10 * 60_000,
  /** Plaintext of one sealed piece of a backup. */
  backupFrameBytesMax: 8 << 20,
  /** Below this, or below a tenth of the disk, the leader is read-only. */
  freeBytesMin: 256 << 20,

  // -- the control loop
  turnMs: 10,
  turnBytesMax: 512 << 10,

  // -- RPC
  rpcMessageBytesMax: 4 << 20,
  /** What a server may send: whole sets of assignments and long lists come in one message. */
  rpcAnswerBytesMax: 64 << 20,
  rpcDeadlineMs: 20_000,
  /** Who opened a connection asks this often whether it still holds; no answer in as long: it does not. */
  rpcKeepaliveMs: 3_000,
  /** The same of a unix socket, where only a daemon that hangs gives no answer. */
  rpcLocalSilenceMs: 20_000,
  /** The same between members of raft, whose own messages stop where nobody answers. */
  raftKeepaliveMs: 10_000,
  /** The other end only has to notice, some time, that nobody is there any more. */
  rpcServerKeepaliveMs: 10_000,
  rpcReconnectMinMs: 50,
  rpcReconnectMaxMs: 500,
  writeDeadlineMs: 60_000,
  joinDeadlineMs: 20_000,
  sessionUnsentBytesMax: 1 << 20,
  clockSkewMaxMs: 60_000,

  // -- names and specs
  serviceNameMax: 63,
  labelBytesMax: 64 << 10,
  envEntriesMax: 2_000,
  commandBytesMax: 128 << 10,
  replicasMax: 100_000,
  portsPerServiceMax: 1_000,
  constraintsMax: 100,
  devicesMax: 100,
  seccompBytesMax: 256 << 10,

  // -- networks
  networkNameMax: 63,
  networksPerServiceMax: 32,
  /** Aliases of a service on one network. */
  aliasesMax: 64,
  /** Subnets that a user may give one network. */
  subnetsGivenMax: 16,
  /** A network from the pool that is full grows by one subnet at a time, up to this many. */
  subnetsGrownMax: 1_024,
  /** Larger subnets cost memory on each manager; smaller ones hold next to nothing. */
  subnetLengthMin: 8,
  subnetLengthMax: 29,
  /** Devices, marks and hardware addresses are made of indexes of networks and nodes. */
  networkIndexMax: 65_535,
  /** VXLAN ids are this and the network's index: far from those of others on the same host. */
  vniBase: 0x10_0000,
  networkMtuMin: 576,
  networkMtuMax: 65_000,
  /** Numbers and subnets of a removed network are given again after this, when no address is held. */
  networkRestMs: 60_000,
  nodeIndexRestMs: 24 * 3_600_000,

  // -- agents
  taskPortMin: 20_000,
  taskPortMax: 29_999,
  dynamicPortMin: 30_000,
  dynamicPortMax: 32_767,
  logFileBytesMax: 10 << 20,
  logFilesMax: 3,
  /** What a service may ask for instead. */
  logFileBytesAsked: 100 << 20,
  logFilesAsked: 100,
  logLineBytesMax: 16 << 10,
  socketPathBytesMax: 100,
  healthOutputBytesMax: 4096,
  /** Of one output of a health check, as managers keep it. */
  healthOutputCharsKept: 1_024,
  /** Of one of the last lines of an ended task, as managers keep it. */
  lastLineCharsMax: 512,
  /** In one message of an agent: with all their words far below what a message may have. */
  reportTasksMax: 200,
  /** In one entry. */
  reportsBatchMax: 1_000,
  /** Statuses in one entry: far below what an entry may have. */
  reportsBatchBytesMax: 512 << 10,
  /** Of a text in a status that is for people. */
  statusTextCharsMax: 2_048,
  listenFailuresMax: 1_000,
  nodeDescriptionBytesMax: 128 << 10,
  nodeVolumesBytesMax: 768 << 10,
  /** More reported statuses waiting to be committed: the session is ended, its agent comes back. */
  reportsQueuedMax: 100_000,
  /** An agent that opened no stream this long after it was asked counts as silent. */
  streamOpenMs: 5_000,
  /** Bytes of one channel of a stream that its reader has not taken yet; then its sender waits. */
  streamWindowBytes: 256 << 10,
  /** Data of one frame. */
  streamPieceBytesMax: 64 << 10,
  /** Who passes frames on and can't for this many bytes ends the stream: its ends break the rules. */
  streamRelayBytesMax: 2 << 20,
  /** A node tells what its tasks use no more often than this. */
  usageIntervalMinMs: 500,
  /** A node that told nothing for this long after it was asked is named and left out. */
  usageSilentMs: 5_000,
  /** A node has so long to look at its network and to ask the others. */
  networkLookMs: 20_000,
  /** Files of one copy into or out of a task. */
  copyEntriesMax: 5_000_000,
  /** A longer name in a copy is refused. */
  copyNameBytesMax: 64 << 10,
  /** More streams to tasks of one node at once are refused. */
  taskStreamsMax: 500,
  /** More unread log records of one stream: its agent is told to wait. */
  logRecordsQueuedMax: 5_000,
  /** A session without a hello is ended. */
  helloMs: 10_000,
  /** Where there are more rows, they are written a second after one of them has changed. */
  networkRowsSavedAtOnceMax: 100,
  /** Starts beyond this wait in line on their node. */
  parallelStartsMax: 16,
  /** A temporary failure is tried this often before the task is REJECTED or FAILED. */
  temporaryRetriesMax: 8,
  /** The logs of more tasks that nobody knows any more are deleted, oldest first. */
  endedLogsMax: 200,
  /** More unread output than this is dropped, and one line says how much. */
  logBacklogBytesMax: 30 << 20,
  /** Log records in one message of a log stream. */
  logBatchRecordsMax: 500,

  // -- containers
  containerdMessageBytesMax: 16 << 20,
  /** Starting a container on a busy machine takes seconds. */
  containerdCallMs: 60_000,
  /** One message of a blob that is written. */
  blobChunkBytes: 1 << 20,
  /** A larger manifest, index or image configuration is refused. */
  imageDocumentBytesMax: 4 << 20,
  /** More layers are refused: overlayfs takes no more. */
  imageLayersMax: 500,
  /** Blobs of one image that are fetched at once. */
  pullBlobsMax: 3,
  /** Who waits for a blob that another pull fetches, and of which nothing comes, fetches it itself. */
  blobStillMs: 3_000,
  /** A registry that sends nothing for this long counts as gone. */
  registryIdleMs: 30_000,
  /** A manager that looks up a tag waits no longer. */
  registryLookupMs: 10_000,
  /** A longer user name and password of a registry are refused. */
  registryLoginBytesMax: 16 << 10,
  registryRedirectsMax: 5,
  registryRetriesMax: 4,
  archiveEntriesMax: 100_000,
  /** Blobs that one manager gives to others at once; more are answered OVERLOADED. */
  blobStreamsMax: 16,
  /** Parts of one image that managers keep. */
  imagePartsMax: 2_000,
  /** How often a node looks whether the disk of its images is nearly full. */
  imageCollectMs: 5 * 60_000,
  /** When an image was used last is written down no more often. */
  imageUsedMs: 60 * 60_000,
  /** Layers that one event names. */
  layersToldMax: 50,
  /** A copy of blobs that does not go on for this long has failed. */
  blobSilentMs: 30_000,
  /** What no image needs any more, and nobody asked for, is deleted from a manager's disk after this. */
  blobGraceMs: 10 * 60_000,
  /** Containers of one node that have an address at once. */
  containerAddressesMax: 60_000,
  passwdBytesMax: 1 << 20,
  /** Named volumes of one node: managers know them all. */
  volumesPerNodeMax: 2_000,

  // -- the user's API
  /** Without a leader for so many election timeouts, reads are answered from local state, marked stale. */
  readWithoutLeaderElections: 4,
  /** A manager asks the leader, where that knows more, for so long. */
  leaderFirstMs: 2_000,
  /** The longest that a read waits, also where a leader is heard: well within the deadline of its call. */
  readWithoutLeaderMaxMs: 10_000,
  /** Without a leader for so many election timeouts, a write is answered NO_QUORUM. */
  writeWithoutLeaderElections: 16,
  /** A watch is pushed at most this often. */
  watchSpacingMs: 50,
  /** Who waits for a service may ask its tasks to stay up for this long; more counts as this. */
  settleMaxMs: 3_600_000,
  /** A node that gives no log record for this long is left out, with a note. */
  logSilentMs: 3_000,
  /** Who follows logs looks this often whether a lost node is back. */
  logAgainMs: 500,
  /** Tasks whose logs one call merges; of more, the newest. */
  logStreamsMax: 1_000,
  /** Records that wait for the reader of one log call; then the nodes wait. */
  logQueueRecordsMax: 4_000,
  /** Entries with events that wait for one reader; more are read again from the table. */
  eventQueueMax: 1_000,
  /** Candidates that an ambiguous name lists, and details that one reason of `why` gives. */
  candidatesShownMax: 10,

  // -- netd
  /** A longer message closes the connection between swarmd and netd. */
  netdFrameBytesMax: 64 << 20,
  /** Accepted connections of one published port that wait for a backend; more are reset. */
  netdWaitingMax: 4_096,
  /** UDP flows of one published port; at the limit the oldest ends. */
  netdFlowsMax: 10_000,
  /** Datagrams that wait while a flow's socket opens; more are dropped. */
  netdFlowQueueMax: 64,
  /** Unanswered questions for connection counts; more are answered from /proc. */
  netdQuestionsMax: 1_000,

  // -- names
  /** Answers of one set of networks that are kept; then all of them are made anew. */
  nameAnswersKeptMax: 4_096,
  /** Answers to longer queries are made anew each time. */
  nameQueryKeptBytesMax: 512,
  /** Queries that wait for other resolvers; more are answered SERVFAIL. */
  nameForwardsMax: 1_024,
  /** The same of one task, so that others are not kept from asking. */
  nameForwardsOfTaskMax: 128,
  /** Open connections that names are asked for on; more are closed. */
  nameConnectionsMax: 256,
  nameConnectionsOfTaskMax: 32,
  /** Answers that a client does not take; then its connection is closed. */
  nameUnsentBytesMax: 1 << 20,
  /** A connection without a query for this long is closed. */
  nameConnectionIdleMs: 10_000,
  /** Queries that wait for the names of a netd that has just begun; more are dropped. */
  nameQueriesHeldMax: 1_000,
} as const;

/** Defaults of the cluster's settings and of service specs. */
export const DEFAULTS = {
  controlPort: 2377,
  taskHistoryLimit: 5,
  nodeGraceMs: 4_000,
  restartGraceMs: 60_000,
  electionTimeoutMs: 500,
  certExpiryMs: 90 * 24 * 3_600_000,
  heartbeatMs: 1_000,
  suspectMs: 2_000,
  // A busy node takes its time; one that is silent is suspected long before and not waited for.
  drainAckMs: 5_000,
  drainTimeMs: 10_000,
  stopGraceMs: 10_000,
  restartDelayMs: 5_000,
  updateParallelism: 1,
  updateMonitorMs: 5_000,
  /**
   * What exits at once (a wrong flag, a missing file, a port in use) does so within a second or two;
   * whoever typed the command should not wait longer for that.
   */
  settleMs: 2_000,
  updateProgressDeadlineMs: 600_000,
  healthIntervalMs: 30_000,
  healthTimeoutMs: 30_000,
  healthRetries: 3,
  healthStartIntervalMs: 5_000,
  readyIntervalMs: 1_000,
  readyTimeoutMs: 1_000,
  onDisconnectAfterMs: 30_000,
  orphanMs: 24 * 3_600_000,
  /** Unused images go when this share of their disk is used, until it is the lower one. */
  imageHighWatermark: 0.85,
  imageLowWatermark: 0.75,
  addressPools: ['10.0.0.0/8'],
  subnetLength: 24,
  /** UDP, VXLAN: not 4789, which a Docker daemon on the same host has. */
  dataPort: 4799,
  underlayMtu: 1_500,
} as const;

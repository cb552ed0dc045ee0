/** The flags of `service create` and `service update`, in the order in which help shows them. */
export interface OptionRow {
  /** Long name without dashes. */
  readonly name: string;
  readonly short?: string;
  /** What stands after it; none: a switch. */
  readonly value?: string;
  readonly text: string;
  readonly only?: 'create' | 'update';
  /** A switch that an update can turn off: --NAME=false. */
  readonly off?: true;
  /** May be given more than once. */
  readonly repeat?: true;
  /** A repeated flag of create that update has as NAME-add and NAME-rm; `rm` names what removes it. */
  readonly rm?: string;
}

export const OPTION_GROUPS: readonly {
  readonly title: string;
  readonly rows: readonly OptionRow[];
}[] = [
  {
    title: 'Service:',
    rows: [
      { name: 'name', value: 'NAME', text: 'Name (made up when not given)', only: 'create' },
      {
        name: 'mode',
        value: 'MODE',
        text: 'replicated or global (default replicated)',
        only: 'create',
      },
      { name: 'replicas', value: 'N', text: 'Number of tasks (default 1)' },
      {
        name: 'max-concurrent',
        value: 'N',
        text: 'Tasks of a job at a time (jobs are not there yet)',
      },
      { name: 'label', short: 'l', value: 'KEY=VALUE', text: 'Label', repeat: true, rm: 'KEY' },
      { name: 'force', text: 'Replace every task, changed or not', only: 'update' },
    ],
  },
  {
    title: 'What runs:',
    rows: [
      {
        name: 'process',
        text: 'Run CMD ARG... as a process of the host, without an image',
        only: 'create',
      },
      { name: 'image', value: 'IMAGE', text: 'New image', only: 'update' },
      { name: 'command', value: 'TEXT', text: 'New command of a process', only: 'update' },
      { name: 'args', value: 'TEXT', text: 'New arguments of the command', only: 'update' },
      { name: 'entrypoint', value: 'TEXT', text: "Instead of the image's entrypoint" },
      {
        name: 'env',
        short: 'e',
        value: 'NAME=VALUE',
        text: 'Environment',
        repeat: true,
        rm: 'NAME',
      },
      {
        name: 'env-file',
        value: 'FILE',
        text: 'Environment from a file',
        repeat: true,
        only: 'create',
      },
      { name: 'workdir', short: 'w', value: 'DIR', text: 'Working directory' },
      { name: 'user', short: 'u', value: 'NAME|UID[:GROUP|GID]', text: 'User' },
      { name: 'group', value: 'GROUP', text: 'More groups', repeat: true, rm: 'GROUP' },
      { name: 'hostname', value: 'NAME', text: 'Host name in the container' },
      { name: 'tty', short: 't', text: 'Give it a terminal', off: true },
      { name: 'init', text: 'Run an init that reaps and passes signals on', off: true },
      { name: 'read-only', text: 'Root file system read-only', off: true },
      { name: 'stop-signal', value: 'SIGNAL', text: 'Signal to stop (default SIGTERM)' },
      {
        name: 'stop-grace-period',
        value: 'TIME',
        text: 'Time to end before SIGKILL (default 10s)',
      },
      {
        name: 'container-label',
        value: 'KEY=VALUE',
        text: 'Label of the task itself',
        repeat: true,
        rm: 'KEY',
      },
    ],
  },
  {
    title: 'Resources and rights:',
    rows: [
      { name: 'limit-cpu', value: 'N', text: 'Most processors' },
      { name: 'limit-memory', value: 'SIZE', text: 'Most memory' },
      { name: 'limit-pids', value: 'N', text: 'Most processes (0: no limit)' },
      { name: 'reserve-cpu', value: 'N', text: 'Processors a node must have free' },
      { name: 'reserve-memory', value: 'SIZE', text: 'Memory a node must have free' },
      {
        name: 'generic-resource',
        value: 'KIND=N',
        text: 'Other resources a node must have free',
        repeat: true,
        rm: 'KIND',
      },
      {
        name: 'memory-swap',
        value: 'SIZE',
        text: 'Swap beyond the limit of memory (default 0; -1: no limit)',
      },
      {
        name: 'memory-swappiness',
        value: 'N',
        text: 'How gladly memory is swapped out, 0 to 100 (-1: as the kernel does)',
      },
      { name: 'cpu-shares', value: 'N', text: 'Weight where processors are short (default 1024)' },
      {
        name: 'blkio-weight',
        value: 'N',
        text: 'Weight where disks are busy, 10 to 1000 (0: as the kernel does)',
      },
      { name: 'shm-size', value: 'SIZE', text: 'Size of /dev/shm (default 64m)' },
      { name: 'ulimit', value: 'NAME=SOFT[:HARD]', text: 'Ulimit', repeat: true, rm: 'NAME' },
      { name: 'oom-score-adj', value: 'N', text: 'OOM preference (-1000 to 1000)' },
      { name: 'cap-add', value: 'CAP', text: 'Capability to add', repeat: true },
      { name: 'cap-drop', value: 'CAP', text: 'Capability to drop', repeat: true },
      {
        name: 'device',
        value: 'HOST[:TARGET[:rwm]]',
        text: 'Device of the node',
        repeat: true,
        rm: 'TARGET',
      },
      { name: 'privileged', text: 'With every right and device of the node', off: true },
      {
        name: 'security-opt',
        value: 'OPTION',
        text: 'no-new-privileges, seccomp=FILE, apparmor=NAME; =unconfined, =default',
        repeat: true,
      },
      { name: 'sysctl', value: 'KEY=VALUE', text: 'Sysctl', repeat: true, rm: 'KEY' },
      {
        name: 'mount',
        value: 'MOUNT',
        text: 'Mount: type=,source=,target=',
        repeat: true,
        rm: 'TARGET',
      },
    ],
  },
  {
    title: 'Network:',
    rows: [
      {
        name: 'publish',
        short: 'p',
        value: 'PORT',
        text: 'Published port: 8080:80/tcp, or published=,target=,protocol=,mode=,proxy-protocol=v2',
        repeat: true,
        rm: 'TARGET-PORT',
      },
      { name: 'endpoint-mode', value: 'MODE', text: 'vip or dnsrr (default vip)' },
      {
        name: 'affinity',
        value: 'WHAT',
        text: 'client: one client, one task, while it lives (default none)',
      },
      {
        name: 'network',
        value: 'NETWORK',
        text: 'Network: a name, or name=,alias=; or bridge',
        repeat: true,
        rm: 'NETWORK',
      },
      { name: 'host', value: 'NAME:IP', text: 'Line for /etc/hosts', repeat: true, rm: 'NAME:IP' },
      { name: 'dns', value: 'IP', text: 'DNS server', repeat: true, rm: 'IP' },
      {
        name: 'dns-search',
        value: 'DOMAIN',
        text: 'DNS search domain',
        repeat: true,
        rm: 'DOMAIN',
      },
      { name: 'dns-option', value: 'OPTION', text: 'DNS option', repeat: true, rm: 'OPTION' },
    ],
  },
  {
    title: 'Placement:',
    rows: [
      {
        name: 'constraint',
        value: 'EXPRESSION',
        text: 'Constraint: node.labels.zone==a, node.role!=manager, ...',
        repeat: true,
        rm: 'EXPRESSION',
      },
      {
        name: 'placement-pref',
        value: 'spread=KEY',
        text: 'Spread evenly over a label',
        repeat: true,
        rm: 'spread=KEY',
      },
      { name: 'replicas-max-per-node', value: 'N', text: 'Most tasks on one node (0: no limit)' },
    ],
  },
  {
    title: 'Health and readiness:',
    rows: [
      { name: 'health-cmd', value: 'TEXT', text: 'Check by a shell command' },
      { name: 'health-http', value: ':PORT/PATH', text: 'Check by an HTTP answer of 200 to 399' },
      { name: 'health-tcp', value: ':PORT', text: 'Check by a TCP connection' },
      { name: 'health-interval', value: 'TIME', text: 'Time between checks (default 30s)' },
      { name: 'health-timeout', value: 'TIME', text: 'Longest check (default 30s)' },
      { name: 'health-retries', value: 'N', text: 'Failures in a row that count (default 3)' },
      { name: 'health-start-period', value: 'TIME', text: 'Time in which failures do not count' },
      { name: 'health-start-interval', value: 'TIME', text: 'Time between checks until then' },
      { name: 'no-healthcheck', text: "No check, not even the image's own" },
      {
        name: 'ready-http',
        value: ':PORT/PATH',
        text: 'In load balancing only while this answers',
      },
      { name: 'ready-tcp', value: ':PORT', text: 'In load balancing only while this accepts' },
      { name: 'ready-interval', value: 'TIME', text: 'Time between readiness checks (default 1s)' },
      { name: 'ready-timeout', value: 'TIME', text: 'Longest readiness check (default 1s)' },
      {
        name: 'drain-time',
        value: 'TIME',
        text: 'Wait for open connections at a stop (default 10s)',
      },
      {
        name: 'on-disconnect',
        value: 'WHAT',
        text: 'When its node is cut off: keep, stop, stop=30s',
      },
    ],
  },
  {
    title: 'Restarts:',
    rows: [
      { name: 'restart-condition', value: 'WHEN', text: 'any, on-failure, none (default any)' },
      { name: 'restart-delay', value: 'TIME', text: 'Time before a restart (default 5s)' },
      { name: 'restart-max-attempts', value: 'N', text: 'Most restarts (0: no end)' },
      { name: 'restart-window', value: 'TIME', text: 'Time in which attempts are counted' },
    ],
  },
  { title: 'Updates:', rows: [...rolloutRows('update')] },
  { title: 'Rollbacks:', rows: [...rolloutRows('rollback')] },
  {
    title: 'Image:',
    rows: [
      { name: 'no-resolve-image', text: 'Do not pin the tag to the digest it stands for now' },
      {
        name: 'with-registry-auth',
        text: "Give the nodes this user's login of the registry (docker login)",
      },
    ],
  },
  {
    title: 'Logging:',
    rows: [
      { name: 'log-driver', value: 'NAME', text: 'json-file or local: the node keeps its logs' },
      {
        name: 'log-opt',
        value: 'KEY=VALUE',
        text: 'max-size=SIZE (default 10m), max-file=N (default 3)',
        repeat: true,
      },
    ],
  },
];

function rolloutRows(prefix: 'update' | 'rollback'): readonly OptionRow[] {
  const actions = prefix === 'update' ? 'pause, continue, rollback' : 'pause, continue';
  return [
    { name: `${prefix}-parallelism`, value: 'N', text: 'Tasks at a time (default 1, 0: all)' },
    { name: `${prefix}-delay`, value: 'TIME', text: 'Time between batches' },
    {
      name: `${prefix}-monitor`,
      value: 'TIME',
      text: 'Time in which a failure counts (default 5s)',
    },
    { name: `${prefix}-failure-action`, value: 'ACTION', text: `${actions} (default pause)` },
    {
      name: `${prefix}-max-failure-ratio`,
      value: 'RATIO',
      text: 'Failures that are borne (0 to 1)',
    },
    {
      name: `${prefix}-order`,
      value: 'ORDER',
      text: 'stop-first or start-first (default stop-first)',
    },
    {
      name: `${prefix}-progress-deadline`,
      value: 'TIME',
      text: 'A task that does not get to RUNNING in it has failed (default 10m)',
    },
  ];
}

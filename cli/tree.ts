import type { Entry } from './entry.ts';

const CLUSTER = 'Cluster:';
const OBJECTS = 'Nodes, services, tasks:';
const INSIDE = 'Looking into tasks:';
const EXPLAIN = 'Finding out:';
const HERE = 'This machine:';

export const TREE: { readonly [word: string]: Entry } = {
  init: {
    summary: 'Make a cluster with this machine as its first manager',
    group: CLUSTER,
    load: async () => (await import('./commands/init.ts')).init,
  },
  join: {
    summary: 'Join a cluster',
    group: CLUSTER,
    load: async () => (await import('./commands/join.ts')).join,
  },
  'join-token': {
    summary: 'Print the line with which a worker or manager joins',
    group: CLUSTER,
    load: async () => (await import('./commands/join-token.ts')).joinToken,
  },
  leave: {
    summary: 'Leave the cluster',
    group: CLUSTER,
    load: async () => (await import('./commands/leave.ts')).leave,
  },
  info: {
    summary: 'This node and its cluster',
    group: CLUSTER,
    load: async () => (await import('./commands/info.ts')).info,
  },
  update: {
    summary: "Change the cluster's settings",
    group: CLUSTER,
    load: async () => (await import('./commands/cluster/update.ts')).update,
  },
  cluster: {
    summary: "The cluster's settings and state; backups",
    group: CLUSTER,
    verbs: {
      status: {
        summary: 'Show the managers: who leads, who follows how far, disks, terms',
        load: async () => (await import('./commands/cluster/status.ts')).status,
      },
      backup: {
        summary: 'Write the state of the cluster into a file, sealed with a key of its own',
        load: async () => (await import('./commands/cluster/backup.ts')).backup,
      },
      restore: {
        summary: 'Make a cluster of a backup, with this machine as its only manager',
        load: async () => (await import('./commands/cluster/restore.ts')).restore,
      },
      recover: {
        summary: "Make a cluster of this manager's own state, when the other managers are lost",
        load: async () => (await import('./commands/cluster/recover.ts')).recover,
      },
      inspect: {
        summary: 'Show the settings',
        load: async () => (await import('./commands/cluster/inspect.ts')).inspect,
      },
      update: {
        summary: 'Change the settings',
        load: async () => (await import('./commands/cluster/update.ts')).update,
      },
    },
  },
  node: {
    summary: 'Nodes of the cluster',
    group: OBJECTS,
    verbs: {
      ls: {
        summary: 'List nodes',
        aliases: ['list'],
        load: async () => (await import('./commands/node/ls.ts')).ls,
      },
      inspect: {
        summary: 'Show everything about nodes',
        load: async () => (await import('./commands/node/inspect.ts')).inspect,
      },
      ps: {
        summary: 'List tasks of nodes',
        load: async () => (await import('./commands/node/ps.ts')).ps,
      },
      update: {
        summary: 'Change availability, role or labels',
        load: async () => (await import('./commands/node/update.ts')).update,
      },
      promote: {
        summary: 'Make nodes managers',
        load: async () => (await import('./commands/node/promote.ts')).promote,
      },
      demote: {
        summary: 'Make managers workers',
        load: async () => (await import('./commands/node/promote.ts')).demote,
      },
      rm: {
        summary: 'Remove nodes',
        aliases: ['remove'],
        load: async () => (await import('./commands/node/rm.ts')).rm,
      },
    },
  },
  service: {
    summary: 'Services',
    group: OBJECTS,
    verbs: {
      create: {
        summary: 'Create a service',
        load: async () => (await import('./commands/service/create.ts')).create,
      },
      ls: {
        summary: 'List services',
        aliases: ['list'],
        load: async () => (await import('./commands/service/ls.ts')).ls,
      },
      inspect: {
        summary: 'Show everything about services',
        load: async () => (await import('./commands/service/inspect.ts')).inspect,
      },
      ps: {
        summary: 'List tasks of services',
        load: async () => (await import('./commands/service/ps.ts')).ps,
      },
      update: {
        summary: 'Change a service',
        load: async () => (await import('./commands/service/update.ts')).update,
      },
      scale: {
        summary: 'Change numbers of replicas',
        load: async () => (await import('./commands/service/scale.ts')).scale,
      },
      rollback: {
        summary: 'Go back to an earlier revision',
        load: async () => (await import('./commands/service/rollback.ts')).rollback,
      },
      history: {
        summary: 'List revisions of a service',
        load: async () => (await import('./commands/service/history.ts')).history,
      },
      logs: {
        summary: 'Show logs of a service or task',
        load: async () => (await import('./commands/service/logs.ts')).logs,
      },
      rm: {
        summary: 'Remove services',
        aliases: ['remove'],
        load: async () => (await import('./commands/service/rm.ts')).rm,
      },
    },
  },
  task: {
    summary: 'Tasks',
    group: OBJECTS,
    verbs: {
      ls: {
        summary: 'List tasks',
        aliases: ['list'],
        load: async () => (await import('./commands/task/ls.ts')).ls,
      },
      inspect: {
        summary: 'Show everything about tasks',
        load: async () => (await import('./commands/task/inspect.ts')).inspect,
      },
      logs: {
        summary: 'Show logs of a task',
        load: async () => (await import('./commands/task/logs.ts')).logs,
      },
    },
  },
  network: {
    summary: 'Networks of the cluster',
    group: OBJECTS,
    verbs: {
      create: {
        summary: 'Create a network',
        load: async () => (await import('./commands/network/create.ts')).create,
      },
      ls: {
        summary: 'List networks and how far they are used',
        aliases: ['list'],
        load: async () => (await import('./commands/network/ls.ts')).ls,
      },
      inspect: {
        summary: 'Show everything about networks',
        load: async () => (await import('./commands/network/inspect.ts')).inspect,
      },
      rm: {
        summary: 'Remove networks',
        aliases: ['remove'],
        load: async () => (await import('./commands/network/rm.ts')).rm,
      },
      doctor: {
        summary: 'Find out what is wrong with the network of nodes',
        load: async () => (await import('./commands/network/doctor.ts')).doctor,
      },
      prune: {
        summary: 'Remove networks that nobody uses',
        load: async () => (await import('./commands/network/prune.ts')).prune,
      },
    },
  },
  volume: {
    summary: 'Volumes of the nodes',
    group: OBJECTS,
    verbs: {
      create: {
        summary: 'Create a volume on a node',
        load: async () => (await import('./commands/volume/create.ts')).create,
      },
      ls: {
        summary: 'List volumes of all nodes',
        aliases: ['list'],
        load: async () => (await import('./commands/volume/ls.ts')).ls,
      },
      inspect: {
        summary: 'Show everything about volumes',
        load: async () => (await import('./commands/volume/inspect.ts')).inspect,
      },
      rm: {
        summary: 'Remove volumes',
        aliases: ['remove'],
        load: async () => (await import('./commands/volume/rm.ts')).rm,
      },
      prune: {
        summary: 'Remove volumes that nobody uses',
        load: async () => (await import('./commands/volume/prune.ts')).prune,
      },
      export: {
        summary: 'Write what is in a volume to a tar archive',
        load: async () => (await import('./commands/volume/export.ts')).exportVolume,
      },
      import: {
        summary: 'Fill a volume from a tar archive',
        load: async () => (await import('./commands/volume/import.ts')).importVolume,
      },
    },
  },
  image: {
    summary: 'Images that the managers keep',
    group: OBJECTS,
    verbs: {
      ls: {
        summary: 'List images',
        aliases: ['list'],
        load: async () => (await import('./commands/image/ls.ts')).ls,
      },
      load: {
        summary: 'Load images from a file, a directory or standard input',
        load: async () => (await import('./commands/image/load.ts')).load,
      },
      push: {
        summary: "Copy images of this machine's Docker or containerd to the managers",
        load: async () => (await import('./commands/image/push.ts')).push,
      },
      rm: {
        summary: 'Remove images',
        aliases: ['remove'],
        load: async () => (await import('./commands/image/rm.ts')).rm,
      },
      prune: {
        summary: 'Remove images that no service uses',
        load: async () => (await import('./commands/image/prune.ts')).prune,
      },
    },
  },
  registry: {
    summary: 'Logins of image registries',
    group: OBJECTS,
    verbs: {
      login: {
        summary: 'Keep a login of a registry, for the nodes that pull from it',
        load: async () => (await import('./commands/registry/login.ts')).login,
      },
      ls: {
        summary: 'List the logins',
        aliases: ['list'],
        load: async () => (await import('./commands/registry/ls.ts')).ls,
      },
      logout: {
        summary: 'Forget the login of a registry',
        load: async () => (await import('./commands/registry/logout.ts')).logout,
      },
    },
  },
  exec: {
    summary: 'Run a command in a task',
    group: INSIDE,
    load: async () => (await import('./commands/exec.ts')).exec,
  },
  cp: {
    summary: 'Copy files into or out of a task',
    group: INSIDE,
    load: async () => (await import('./commands/cp.ts')).cp,
  },
  attach: {
    summary: 'Join output and input of a running task',
    group: INSIDE,
    load: async () => (await import('./commands/attach.ts')).attach,
  },
  'port-forward': {
    summary: 'Make ports of a task answer on this machine',
    group: INSIDE,
    load: async () => (await import('./commands/port-forward.ts')).portForward,
  },
  logs: {
    summary: 'Show logs of a service or task',
    group: INSIDE,
    load: async () => (await import('./commands/service/logs.ts')).logs,
  },
  stats: {
    summary: 'Show what tasks use, live',
    group: INSIDE,
    load: async () => (await import('./commands/stats.ts')).stats,
  },
  top: {
    summary: 'Show nodes and the tasks that use most, live',
    group: INSIDE,
    load: async () => (await import('./commands/top.ts')).top,
  },
  why: {
    summary: 'Say why a service, task, node or network is as it is, and what to do',
    group: EXPLAIN,
    load: async () => (await import('./commands/why.ts')).why,
  },
  events: {
    summary: 'Show what happens in the cluster',
    group: EXPLAIN,
    load: async () => (await import('./commands/events.ts')).events,
  },
  version: {
    summary: 'Versions of this program and of the daemon',
    group: EXPLAIN,
    load: async () => (await import('./commands/version.ts')).version,
  },
  start: {
    summary: 'Start the daemon of this node',
    group: HERE,
    load: async () => (await import('./commands/start.ts')).start,
  },
  stop: {
    summary: 'Stop the daemon of this node; its tasks go on',
    group: HERE,
    load: async () => (await import('./commands/stop.ts')).stop,
  },
  dev: {
    summary: 'A whole cluster on this machine, to try things out',
    group: HERE,
    verbs: {
      up: {
        summary: 'Start it',
        load: async () => (await import('./commands/dev/up.ts')).up,
      },
      ls: {
        summary: 'List its nodes',
        aliases: ['list'],
        load: async () => (await import('./commands/dev/ls.ts')).ls,
      },
      stop: {
        summary: 'Stop a node in order',
        load: async () => (await import('./commands/dev/stop.ts')).stop,
      },
      start: {
        summary: 'Start a stopped node',
        load: async () => (await import('./commands/dev/start.ts')).start,
      },
      kill: {
        summary: 'Kill a node with SIGKILL',
        load: async () => (await import('./commands/dev/kill.ts')).kill,
      },
      down: {
        summary: 'Stop and delete it',
        load: async () => (await import('./commands/dev/down.ts')).down,
      },
    },
  },
  completion: {
    summary: 'Print the completion script for bash, zsh or fish',
    group: HERE,
    load: async () => (await import('./commands/completion.ts')).completion,
  },
  __up: {
    summary: '',
    hidden: true,
    load: async () => (await import('./commands/clone/up.ts')).up,
  },
  __down: {
    summary: '',
    hidden: true,
    load: async () => (await import('./commands/clone/down.ts')).down,
  },
  __complete: {
    summary: '',
    hidden: true,
    load: async () => (await import('./commands/complete.ts')).completeVerb(TREE),
  },
};

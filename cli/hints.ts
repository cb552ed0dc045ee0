/**
 * Commands that people know from Docker or expect here, and what does it: for words that spelling
 * alone does not lead to. Those of a noun stand with it.
 */
const ELSEWHERE: { readonly [word: string]: string } = {
  build: 'docker build makes an image, swarm image push gives it to the managers.',
  ca: 'Certificates renew themselves; swarm cluster update --cert-expiry sets their life.',
  compose: 'There are no stack files yet: each service is made with swarm service create.',
  config: 'There are no configs yet: swarm service create takes --env-file and --mount.',
  container: 'swarm task ls lists tasks; swarm exec, cp and logs look into them.',
  create: 'swarm service create makes a service.',
  deploy: 'There are no stack files yet: each service is made with swarm service create.',
  'image build': 'docker build makes an image, swarm image push gives it to the managers.',
  'image inspect': 'swarm image ls --no-trunc --format json shows all that is known.',
  'image pull': 'Nodes pull images when a task needs them: swarm service create IMAGE.',
  'image save': 'The managers give images to nodes alone: keep the file that was loaded.',
  'image tag': 'swarm image load --tag NAME:TAG names an image, docker tag one before a push.',
  images: 'swarm image ls lists what the managers keep; nodes pull the others when they need them.',
  inspect: 'swarm service inspect, swarm node inspect and swarm task inspect show everything.',
  kill: 'swarm service rm ends a service; swarm dev kill ends a node of a cluster for trying out.',
  list: 'swarm service ls, swarm node ls and swarm task ls list what is there.',
  ls: 'swarm service ls, swarm node ls and swarm task ls list what is there.',
  login: 'swarm registry login HOST keeps a login of a registry.',
  logout: 'swarm registry logout HOST forgets a login of a registry.',
  'network connect':
    'swarm service update --network-add NETWORK SERVICE puts a service on a network.',
  'network disconnect': 'swarm service update --network-rm NETWORK SERVICE takes it off a network.',
  nodes: 'swarm node ls lists nodes.',
  ps: 'swarm task ls lists tasks, swarm service ps SERVICE those of one service.',
  pull: 'Nodes pull images when a task needs them: swarm service create IMAGE.',
  push: "swarm image push copies an image of this machine's Docker to the managers.",
  restart: 'swarm service update --force SERVICE starts its tasks anew.',
  rm: 'swarm service rm removes services.',
  rmi: 'swarm image rm removes images that the managers keep; nodes collect theirs by themselves.',
  rollback: 'swarm service rollback SERVICE goes back to the revision before.',
  run: 'swarm service create makes a service, here --process CMD runs a command of the host.',
  scale: 'swarm service scale SERVICE=REPLICAS changes how many tasks run.',
  secret: 'There are no secrets yet: swarm service create takes --env-file and --mount.',
  services: 'swarm service ls lists services.',
  stack: 'There are no stack files yet: each service is made with swarm service create.',
  status: 'swarm info tells of this node, swarm cluster status of the managers.',
  swarm: 'What is docker swarm there is without a noun here: swarm init, swarm join, swarm leave.',
  tasks: 'swarm task ls lists tasks.',
  system:
    'swarm info tells of this node, swarm events of what happens, swarm image prune cleans up.',
  token: 'swarm join-token worker prints the line with which a worker joins.',
  unlock: 'Managers have no lock: whoever may read the state directory may start one.',
  up: 'In a clone npm run up starts a cluster; swarm dev up starts one of several nodes.',
  down: 'In a clone npm run down ends what npm run up made; swarm dev down ends its own.',
};

/** One sentence on what to type instead of a command that is not there. */
export function hintFor(word: string): string | undefined {
  return Object.hasOwn(ELSEWHERE, word) ? ELSEWHERE[word] : undefined;
}

/** Flags that people know from `docker run`, Compose and Docker's own Swarm, and the one that does it. */
const SAME: { readonly [flag: string]: string } = {
  '--cpus': '--limit-cpu',
  '--dispatcher-heartbeat': '--node-grace',
  '--memory': '--limit-memory',
  '-m': '--limit-memory',
  '--memory-reservation': '--reserve-memory',
  '--net': '--network',
  '--network-alias': '--network',
  '--pids-limit': '--limit-pids',
  '--port': '--publish',
  '--ports': '--publish',
  '--restart': '--restart-condition',
  '--stop-timeout': '--stop-grace-period',
  '--volume': '--mount',
  '-v': '--mount',
};

/** Flags of Docker that nothing here stands for. */
const NONE: { readonly [flag: string]: string } = {
  '--aux-address': 'Give --ip-range: addresses outside of it are yours.',
  '--autolock': 'Managers have no lock: keep state directories on disks that you trust.',
  '--config-from': 'Networks are the same on every node: nothing is made of configurations.',
  '--config-only': 'Networks are the same on every node: nothing is made of configurations.',
  '--config': 'There are no configs yet: --env-file and --mount bring files and values.',
  '--external-ca': 'The managers sign certificates themselves.',
  '--ingress': 'The network ingress is there by itself.',
  '--ipam-driver': 'The managers give all addresses: --subnet, --ip-range and --gateway.',
  '--ipam-opt': 'The managers give all addresses: --subnet, --ip-range and --gateway.',
  '--link': 'Services on the same --network find each other by name.',
  '--max-snapshots': 'Managers take and delete snapshots by themselves.',
  '--rm': 'Ended tasks go by themselves: swarm cluster update --task-history-limit.',
  '--scope': "Networks belong to the whole cluster; bridge, host and none are each node's own.",
  '--secret': 'There are no secrets yet: --env-file and --mount bring files and values.',
  '--since': '--cursor goes on after an event; without it all that are kept are shown.',
  '--snapshot-interval': 'Managers take and delete snapshots by themselves.',
};

/** One sentence on a flag that a command does not have, of which it has `flags`. */
export function hintForFlag(typed: string, flags: readonly string[]): string | undefined {
  const flag = typed.split('=')[0]!;
  // What create takes once, update adds to and takes from.
  const means = Object.hasOwn(SAME, flag) ? SAME[flag]! : flag;
  if (flags.includes(`${means}-add`)) return `Did you mean ${means}-add or ${means}-rm?`;
  if (means !== flag && flags.includes(means)) return `Did you mean ${means}?`;
  return Object.hasOwn(NONE, flag) ? NONE[flag] : undefined;
}

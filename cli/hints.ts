/**
 * Commands that people know from Docker or expect here, and what does it: for words that spelling
 * alone does not lead to.
 */
const ELSEWHERE: { readonly [word: string]: string } = {
  create: 'swarm service create makes a service.',
  images: 'Nodes pull images when a task needs them: swarm service create IMAGE.',
  inspect: 'swarm service inspect, swarm node inspect and swarm task inspect show everything.',
  kill: 'swarm service rm ends a service; swarm dev kill ends a node of a cluster for trying out.',
  list: 'swarm service ls, swarm node ls and swarm task ls list what is there.',
  logs: 'swarm service logs SERVICE shows the logs of its tasks.',
  ls: 'swarm service ls, swarm node ls and swarm task ls list what is there.',
  nodes: 'swarm node ls lists nodes.',
  ps: 'swarm task ls lists tasks, swarm service ps SERVICE those of one service.',
  restart: 'swarm service update --force SERVICE starts its tasks anew.',
  rm: 'swarm service rm removes services.',
  rollback: 'swarm service rollback SERVICE goes back to the revision before.',
  run: 'swarm service create makes a service, here --process CMD runs a command of the host.',
  scale: 'swarm service scale SERVICE=REPLICAS changes how many tasks run.',
  services: 'swarm service ls lists services.',
  status: 'swarm info tells of this node, swarm cluster status of the managers.',
  swarm: 'What is docker swarm there is without a noun here: swarm init, swarm join, swarm leave.',
  tasks: 'swarm task ls lists tasks.',
  token: 'swarm join-token worker prints the line with which a worker joins.',
  up: 'In a clone npm run up starts a cluster; swarm dev up starts one of several nodes.',
  down: 'In a clone npm run down ends what npm run up made; swarm dev down ends its own.',
};

/** One sentence on what to type instead of a command that is not there. */
export function hintFor(word: string): string | undefined {
  return Object.hasOwn(ELSEWHERE, word) ? ELSEWHERE[word] : undefined;
}

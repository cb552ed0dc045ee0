import { readFileSync } from 'node:fs';
import { NetworkService } from '../../proto/index.ts';
import { network } from '../../worker/network/router/rows.fixture.ts';
import { Hosts, type Peer } from '../integration/network/hosts.ts';
import { Resolvers } from '../integration/network/resolvers.ts';
import { Routers } from '../integration/network/routers.ts';
import { until } from '../support/swarm.ts';

const NETWORK = 1;

/** One node with a container, its netd, and a large network that is mostly on two other nodes. */
export class BenchNode {
  readonly hosts: Hosts;
  readonly routers: Routers;
  readonly resolvers: Resolvers;
  readonly services: NetworkService[];
  /** Of the container that asks. */
  namespace = '';
  client!: Peer;

  private constructor(hosts: Hosts, services: number, endpoints: number) {
    this.hosts = hosts;
    this.routers = new Routers(hosts);
    this.resolvers = new Resolvers(this.routers);
    this.services = Array.from({ length: services }, (_, at) => this.service(at, endpoints));
  }
  static async make(services: number, endpoints: number): Promise<BenchNode> {
    const node = new BenchNode(await Hosts.make(3), services, endpoints);
    const { routers, resolvers } = node;
    await routers.routers[0]!.open();
    await resolvers.start();
    const networks = [
      ...routers.rows.networks,
      network(NETWORK, { subnets: [{ cidr: '10.0.0.0/12', gateway: '10.0.0.1' }] }),
    ];
    await resolvers.apply({ networks, networkServices: node.services }, [1]);
    const attachments = [
      { networkId: 'net1', address: '10.15.0.1', address6: '', aliases: [] as string[] },
    ];
    const { peer, namespace } = await routers.container(1, 'asks', { attachments });
    node.namespace = namespace;
    node.client = peer;
    await until('names', async () => {
      const [first] = await peer.call<string[]>('resolve', 's1');
      return first?.startsWith('10.14.') === true ? true : undefined;
    });
    return node;
  }
  /** The nth service. `unready`: its endpoint that takes no load. */
  service(number: number, endpoints: number, unready = -1): NetworkService {
    return NetworkService.create({
      id: `service${number}/net1`,
      serviceId: `service${number}`,
      serviceName: `s${number}`,
      networkId: 'net1',
      address: `10.14.${number >> 8}.${number & 255}`,
      endpoints: Array.from({ length: endpoints }, (_, at) => {
        const count = number * endpoints + at;
        return {
          taskId: `task${count.toString(36).padStart(21, '0')}`,
          nodeId: this.routers.nodeId(2 + (count % 2)),
          slot: at + 1,
          ready: at !== unready,
          address: `10.${1 + (count >> 16)}.${(count >> 8) & 255}.${count & 255}`,
        };
      }),
    });
  }
  async end(): Promise<void> {
    await this.resolvers.end();
    await this.routers.end();
  }
}

/** Processor time of a process that is not ours, and of its ended children, in milliseconds. */
export function cpuMs(pid: number | 'self', withChildren = false): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  const [own, children] = [
    [11, 12],
    [13, 14],
  ].map((at) => at.reduce((sum, each) => sum + Number(fields[each]), 0));
  return 10 * (own! + (withChildren ? children! : 0));
}

/** The same of all programs that this process has started and `apart` is none of, ended or not. */
export function programsCpuMs(apart: number): number {
  const text = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8');
  const running = text.trim().split(' ').map(Number);
  return running
    .filter((pid) => pid > 0 && pid !== apart)
    .reduce((sum, pid) => sum + cpuMs(pid, true), cpuMs('self', true) - cpuMs('self'));
}

import assert from 'node:assert/strict';
import { explain } from '../../manager/loop/explain.ts';
import { isOver } from '../../manager/loop/task-facts.ts';
import type { View } from '../../manager/store/view.ts';
import {
  Availability,
  type Init,
  Liveness,
  type NetworkAttachment,
  type NetworkSpec,
  type NodeDescription,
  RolloutState,
  type ServiceSpec,
  type Task,
  TaskState,
  type TaskStatus,
} from '../../proto/index.ts';
import { defaultSpec, duration, withWords } from './spec-words.ts';
import { World } from './world.ts';

/**
 * Runs a script of one command a line and returns what it printed.
 *
 * nodes N.. [zone=a ..] [cpu=N] [memory=MIB] [gpu=N] [runtimes=a,b] [overlay=ADDRESS] [mtu=N] [routes=A,B]
 * [wireguard=KEY] [bind-roots=A,B]   host-access on|off   volumes N VOLUME..
 * describe N overlay=ADDRESS [no-ipv6]|mtu=N|routes=A,B|wireguard=KEY|bind-roots=A,B
 * node N ready|suspect|down|leaving|restarting|active|pause|drain|remove|removing|runs=RUNTIME|zone=b
 * pool CIDR LENGTH   network NAME [subnet=A+B] [ipv6] [encrypted] [mtu=N]   network-rm NAME
 * create|update NAME WORD..   rollback NAME REV
 * scale NAME N   rm NAME   agents on|off   broken NAME REV [exit=N|rejected=TEXT|hangs]
 * report NAME.SLOT|NAME@NODE STATE [k=v..]   advance T   ack   leader   history N
 * networks   addresses   tasks [NAME]   service NAME   node-state   events   why NAME.SLOT
 */
export async function runScript(text: string): Promise<string> {
  const script = new Script();
  const out: string[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    out.push(...(await script.run(line.split(/\s+/))));
  }
  script.world.stop();
  return out.join('\n');
}

class Script {
  readonly world = new World();
  readonly #specs = new Map<string, Init<ServiceSpec>[]>();
  readonly #names = new Map<string, string>();
  readonly #broken = new Map<string, Partial<TaskStatus>>();
  #agents = true;
  #eventsShown = 0;

  async run([command, ...words]: string[]): Promise<string[]> {
    const title = `> ${[command, ...words].join(' ')}`;
    const shown = await this.#show(command!, words);
    if (shown !== undefined) return [title, ...shown, ''];
    await this.#do(command!, words);
    await this.#letAgents();
    return command === 'nodes' || command === 'agents' ? [] : [title];
  }

  async #do(command: string, words: string[]): Promise<void> {
    const { world } = this;
    const [name = '', ...rest] = words;
    switch (command) {
      case 'nodes':
        return this.#addNodes(words);
      case 'node':
        return this.#changeNode(name, rest);
      case 'describe':
        return world.describe(name, describedBy(optionsOf(rest)));
      case 'volumes':
        return world.volumes(name, rest);
      case 'host-access':
        return world.cluster({ spec: { allowHostAccess: name === 'on' } });
      case 'pool':
        return world.cluster({
          network: { addressPools: [name], subnetLength: Number(rest[0]) },
        });
      case 'network':
        await world.createNetwork(networkSpec(name, optionsOf(rest)));
        return;
      case 'network-rm':
        return world.removeNetwork(name);
      case 'create':
        this.#specs.set(name, [withWords(defaultSpec(name), rest)]);
        await world.createService(this.#specs.get(name)!.at(-1)!);
        return;
      case 'update': {
        const specs = this.#specs.get(name)!;
        specs.push(withWords(specs.at(-1)!, rest));
        return world.updateService(name, specs.at(-1)!);
      }
      case 'rollback': {
        const specs = this.#specs.get(name)!;
        specs.push(specs[Number(rest[0]) - 1]!);
        return world.updateService(name, specs.at(-1)!, `rollback to ${rest[0]}`);
      }
      case 'scale':
        return this.#do('update', [name, `replicas=${rest[0]}`]);
      case 'rm':
        return world.removeService(name);
      case 'agents':
        this.#agents = name === 'on';
        return;
      case 'broken':
        this.#break(name, rest);
        return;
      case 'report':
        return this.#report(name, rest);
      case 'advance':
        return world.advance(duration(name), () => this.#letAgents());
      case 'leader':
        return world.changeLeader();
      case 'history':
        return world.cluster({ spec: { taskHistoryLimit: Number(name) } });
      default:
        throw new Error(`no such command: ${command}`);
    }
  }

  async #letAgents(): Promise<void> {
    if (!this.#agents) return;
    await this.world.agents((task) => {
      const key = `${this.#serviceName(task)} ${task.revision}`;
      return this.#broken.get(key) ?? true;
    });
  }

  #break(name: string, [revision, how = 'exit=1']: string[]): void {
    const [key, value = ''] = how.split('=');
    const status: { [key: string]: Partial<TaskStatus> } = {
      exit: { state: TaskState.FAILED, exitCode: Number(value) },
      rejected: { state: TaskState.REJECTED, err: value },
      hangs: { state: TaskState.STARTING },
    };
    if (key === 'mended') this.#broken.delete(`${name} ${revision}`);
    else this.#broken.set(`${name} ${revision}`, status[key!]!);
  }

  async #addNodes(words: string[]): Promise<void> {
    const options = optionsOf(words.filter((word) => word.includes('=')));
    const resources = {
      nanoCpus: Number(options.get('cpu') ?? 4) * 1e9,
      memoryBytes: Number(options.get('memory') ?? 8192) * 2 ** 20,
      generic: { gpu: Number(options.get('gpu') ?? 0) },
    };
    const runtimes = (options.get('runtimes') ?? 'process').split(',');
    const network = describedBy(options);
    for (const key of ['cpu', 'memory', 'gpu', 'runtimes', ...DESCRIPTION]) options.delete(key);
    const labels = Object.fromEntries(options);
    for (const id of words.filter((w) => !w.includes('=')))
      await this.world.addNode(id, labels, resources, runtimes, network);
  }

  async #changeNode(names: string, words: string[]): Promise<void> {
    const { world } = this;
    for (const word of words) {
      const liveness = Liveness[word.toUpperCase() as keyof typeof Liveness];
      const availability = Availability[word.toUpperCase() as keyof typeof Availability];
      if (liveness !== undefined) await world.liveness(names.split(','), liveness);
      for (const id of names.split(',')) {
        if (availability !== undefined) await world.changeNode(id, { availability });
        else if (word === 'remove') await world.removeNode(id);
        else if (word === 'removing') await world.changeNode(id, { removing: true });
        else if (word.startsWith('runs='))
          await world.changeNode(id, { runtime: word.slice('runs='.length) });
        else if (word.includes('='))
          await world.changeNode(id, { labels: Object.fromEntries([word.split('=')]) });
      }
    }
  }

  async #report(what: string, [state, ...rest]: string[]): Promise<void> {
    const task = this.#wanted(what);
    const patch: { [key: string]: unknown } = {};
    if (state === 'not-ready') Object.assign(patch, { ready: false });
    else patch['state'] = TaskState[state!.toUpperCase() as keyof typeof TaskState];
    if (state === 'running') patch['ready'] = true;
    for (const word of rest) {
      const [key, value] = word.split('=');
      if (key === 'lost') patch['lost'] = true;
      else if (key === 'exit') patch['exitCode'] = Number(value);
      else patch[key!] = value;
    }
    await this.world.report(task, patch as Partial<TaskStatus>);
  }

  /** The newest task of `web.1` or `web@n1` that is wanted. */
  #wanted(what: string): Task {
    const tasks = [...this.world.view.table('task').all()].filter(
      (task) => this.#label(task) === what && task.desiredState <= TaskState.RUNNING,
    );
    const task = this.#sorted(tasks).at(-1);
    if (task === undefined) throw new Error(`no task ${what}`);
    return task;
  }

  async #show(command: string, words: string[]): Promise<string[] | undefined> {
    switch (command) {
      case 'tasks':
        return this.#tasks(words[0]);
      case 'networks':
        return table(networkRows(this.world.view));
      case 'addresses':
        return this.#addresses();
      case 'service':
        return this.#service(words[0]!);
      case 'node-state':
        return this.#nodeStates();
      case 'events': {
        const events = this.world.events.slice(this.#eventsShown);
        this.#eventsShown = this.world.events.length;
        return events.map((e) => `${e.kind} ${e.action} ${e.name}: ${e.message}`);
      }
      case 'why': {
        const task = this.#wanted(words[0]!);
        const verdicts = explain(this.world.view, task.id);
        assert.deepEqual(explain(this.world.view, task.id, this.world.nodeIndex), verdicts);
        return [task.pendingReason, ...verdicts.map((v) => `  ${v.nodeId}: ${v.text || 'fits'}`)];
      }
      case 'ack':
        this.world.acknowledgeDrains();
        await this.world.settle();
        await this.#letAgents();
        return [];
      default:
        return undefined;
    }
  }

  #tasks(name: string | undefined): string[] {
    const { view } = this.world;
    const rows = this.#sorted([...view.table('task').all()])
      .filter((task) => name === undefined || this.#serviceName(task) === name)
      .map((task) => {
        const status = view.table('taskStatus').get(task.id);
        const state = Math.max(task.state, status?.state ?? 0) as TaskState;
        const why = task.draining ? 'draining' : task.pendingReason || task.endReason;
        const ready = status?.state === TaskState.RUNNING && !status.ready ? ' (not ready)' : '';
        return [
          this.#label(task),
          this.#name(task),
          `r${task.revision}`,
          wordOf(TaskState, task.desiredState),
          `${wordOf(TaskState, state)}${ready}`,
          task.nodeId || '-',
          why,
        ];
      });
    return table(rows.sort((a, b) => compare(a[0]!, b[0]!)));
  }

  /** Who holds what, by network: virtual addresses, tasks that have not ended, lost nodes. */
  #addresses(): string[] {
    const { view } = this.world;
    const rows: string[][] = [];
    const add = (who: string, held: readonly NetworkAttachment[]) => {
      for (const { networkId, address, address6 } of held) {
        const name = view.table('network').get(networkId)?.spec?.name ?? 'gone';
        rows.push([name, address, address6, who]);
      }
    };
    for (const state of view.table('serviceState').all())
      add(view.table('service').get(state.id)?.spec?.name ?? '?', state.virtualAddresses);
    for (const task of this.#sorted([...view.table('task').all()]))
      if (!isOver({ task, status: view.table('taskStatus').get(task.id) }))
        add(`${this.#label(task)} ${this.#name(task)} on ${task.nodeId}`, task.attachments);
    for (const state of view.table('nodeState').all()) add(`kept for ${state.id}`, state.held);
    return table(rows.sort((a, b) => compare(a.join(' '), b.join(' '))));
  }

  #service(name: string): string[] {
    const [service] = this.world.view.table('service').by('name', name);
    const state = this.world.view.table('serviceState').get(service?.id ?? '');
    if (service === undefined || state === undefined) return [`${name} is gone`];
    const { rollout } = state;
    const lines = [
      `wished r${service.revision} running r${state.runningRevision} stable r${state.stableRevision}`,
    ];
    if (rollout !== null)
      lines.push(
        `rollout ${wordOf(RolloutState, rollout.state)} r${rollout.fromRevision} -> r${rollout.toRevision}` +
          ` done ${rollout.done}/${rollout.total} failed ${rollout.failed} ${rollout.message}`.trimEnd(),
      );
    if (state.ports.length > 0)
      lines.push(`ports ${state.ports.map((p) => `${p.published}:${p.target}`).join(' ')}`);
    if (state.quarantine !== '') lines.push(`quarantine: ${state.quarantine}`);
    return lines;
  }

  #nodeStates(): string[] {
    const rows = [...this.world.view.table('nodeState').all()]
      .sort((a, b) => compare(a.id, b.id))
      .map((row) => [
        row.id,
        row.lostMs > 0 ? `lost ${row.lostMs}` : '-',
        row.drainedMs > 0 ? `drained ${row.drainedMs}` : '-',
        row.brake === '' ? '-' : `brake until ${row.brakeUntilMs}: ${row.brake}`,
        row.index === 0 ? '' : `index ${row.index}`,
        row.removedMs === 0 ? '' : 'removed',
        row.held.length === 0 ? '' : `holds ${row.held.length} until ${row.heldUntilMs}`,
      ]);
    return table(rows);
  }

  #sorted(tasks: Task[]): Task[] {
    for (const task of [...this.world.view.table('task').all()].sort(
      (a, b) => a.createdMs - b.createdMs || a.slot - b.slot || compare(a.nodeId, b.nodeId),
    ))
      this.#name(task);
    return tasks.sort((a, b) => this.#number(a) - this.#number(b));
  }
  #name(task: Task): string {
    const known = this.#names.get(task.id);
    if (known !== undefined) return known;
    this.#names.set(task.id, `t${this.#names.size + 1}`);
    return this.#names.get(task.id)!;
  }
  #number(task: Task): number {
    return Number(this.#name(task).slice(1));
  }
  #serviceName(task: Task): string {
    return this.world.view.table('service').get(task.serviceId)?.spec?.name ?? '?';
  }
  #label(task: Task): string {
    const name = this.#serviceName(task);
    return task.slot > 0 ? `${name}.${task.slot}` : `${name}@${task.nodeId}`;
  }
}

/** Words of a node's description. */
const DESCRIPTION = ['overlay', 'no-ipv6', 'mtu', 'routes', 'wireguard', 'bind-roots'];

function optionsOf(words: readonly string[]): Map<string, string> {
  return new Map(words.map((word) => [word.split('=')[0]!, word.slice(word.indexOf('=') + 1)]));
}

function describedBy(options: ReadonlyMap<string, string>): Partial<NodeDescription> {
  const dataAddress = options.get('overlay');
  const routes = options.get('routes');
  const roots = options.get('bind-roots');
  const features = { network: 'overlay', ...(options.has('no-ipv6') ? { ipv6: 'none' } : {}) };
  return {
    ...(dataAddress === undefined ? {} : { dataAddress, features }),
    ...(options.has('mtu') ? { mtu: Number(options.get('mtu')) } : {}),
    ...(routes === undefined ? {} : { routes: routes.split(',') }),
    ...(roots === undefined ? {} : { bindRoots: roots.split(',') }),
    ...(options.has('wireguard') ? { wireguardKey: options.get('wireguard')! } : {}),
  };
}

function networkSpec(name: string, options: ReadonlyMap<string, string>): Init<NetworkSpec> {
  const subnets = (options.get('subnet') ?? '').split('+').filter((cidr) => cidr !== '');
  return {
    name,
    driver: 'overlay',
    subnets: subnets.map((cidr) => ({ cidr })),
    ipv6: options.has('ipv6'),
    encrypted: options.has('encrypted'),
    mtu: Number(options.get('mtu') ?? 0),
  };
}

function networkRows(view: View): string[][] {
  const states = [...view.table('networkState').all()].sort((a, b) => a.index - b.index);
  return states.map((state) => {
    const network = view.table('network').get(state.id);
    const name = network?.spec?.name ?? 'gone';
    return [
      network?.removing ? `${name} (leaving)` : name,
      state.index === 0 ? '-' : `${state.index} 0x${state.vni.toString(16)}`,
      state.subnets.map(({ cidr, gateway }) => `${cidr} via ${gateway}`).join(' '),
      state.mtu === 0 ? '' : `mtu ${state.mtu}`,
      state.problem,
    ];
  });
}

function compare(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

function wordOf(words: { readonly [name: string]: number }, value: number): string {
  return Object.keys(words).find((name) => words[name] === value) ?? String(value);
}

function table(rows: readonly string[][]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at]!))
      .join('  ')
      .trimEnd(),
  );
}

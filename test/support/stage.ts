import type { TaskView } from '../../proto/index.ts';
import { Api } from './api.ts';
import { DevCluster } from './dev-cluster.ts';
import { type Person, whoRuns } from './people.ts';
import { type Ran, type RunOptions, until } from './swarm.ts';

/** Tests wait for what they want to see: nothing has to prove itself first. */
const AT_ONCE = ['--settle', '0s'];

/** A cluster of one person, and short words for what tests of services do with it. */
export class Stage {
  readonly person: Person;
  readonly cluster: DevCluster;
  /** Of m1. */
  readonly api: Api;
  readonly #closers: (() => void)[] = [];

  private constructor(person: Person, cluster: DevCluster, api: Api) {
    this.person = person;
    this.cluster = cluster;
    this.api = api;
  }
  static async up(person: Person, managers: number, workers: number): Promise<Stage> {
    const cluster = await DevCluster.up(managers, workers, person.options, person.tempDir);
    try {
      return new Stage(person, cluster, new Api(await cluster.socket('m1')));
    } catch (error) {
      await cluster.down();
      throw error;
    }
  }
  async down(): Promise<void> {
    this.api.close();
    await this.cluster.down();
    for (const close of this.#closers) close();
    this.person.remove();
  }
  /** A directory that is removed with the stage. */
  directory(): string {
    const { path, remove } = this.person.tempDir();
    this.#closers.push(remove);
    return path;
  }

  /** Whatever way it ends. */
  try(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return this.cluster.swarm('m1', args, { timeoutMs: 60_000, ...options });
  }
  /** Resolves with standard output. */
  must(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return this.cluster.must('m1', args, { timeoutMs: 60_000, ...options });
  }
  /** `service create` in the foreground, with a user where one is needed. */
  create(name: string, ...words: string[]): Promise<Ran> {
    return this.try([
      'service',
      'create',
      ...AT_ONCE,
      '--name',
      name,
      ...this.person.user,
      ...words,
    ]);
  }
  async mustCreate(name: string, ...words: string[]): Promise<void> {
    await this.must([
      'service',
      'create',
      '-q',
      ...AT_ONCE,
      '--name',
      name,
      ...this.person.user,
      ...words,
    ]);
  }
  update(name: string, ...words: string[]): Promise<Ran> {
    return this.try(['service', 'update', ...AT_ONCE, ...words, name]);
  }
  remove(...names: string[]): Promise<string> {
    return this.must(['service', 'rm', '-q', ...names]);
  }
  /** Removes every service. */
  async clean(): Promise<void> {
    const ids = await this.api.serviceIds();
    if (ids.length > 0) await this.remove(...ids);
  }
  /** The lines that its tasks have printed so far, without names. */
  async lines(service: string): Promise<string[]> {
    const text = await this.must(['service', 'logs', '--raw', service]);
    return text.split('\n').filter((line) => line !== '');
  }
  untilLine(service: string, wanted: RegExp): Promise<string> {
    return until(`a line ${wanted} of ${service}`, async () =>
      (await this.lines(service)).find((line) => wanted.test(line)),
    );
  }
  /** Resolves with all tasks that are kept, once `when` holds for them. */
  untilTasks(
    service: string,
    when: (tasks: readonly TaskView[]) => boolean,
  ): Promise<readonly TaskView[]> {
    return until(`what was waited for of ${service}`, async () => {
      const tasks = await this.api.tasks(service);
      return when(tasks) ? tasks : undefined;
    });
  }
  /** Names of the nodes on which its tasks run, sorted. */
  async places(service: string): Promise<string[]> {
    return (await this.api.running(service)).map((task) => task.nodeName).sort();
  }
  async why(ref: string): Promise<readonly Reason[]> {
    const text = await this.must(['why', '--format', 'json', ref]);
    return (JSON.parse(text) as { Reasons: readonly Reason[] }).Reasons;
  }
}

export interface Reason {
  readonly Code: string;
  readonly Text: string;
  readonly Advice: string;
  readonly Command: string;
  readonly Details: readonly string[];
}

/** Who runs the tests and, where that is root, an ordinary user as well. */
export function persons(ordinary: () => Person): readonly Person[] {
  return whoRuns().uid === 0 ? [whoRuns(), ordinary()] : [whoRuns()];
}

import { type Service, ServiceMode, ServiceState } from '../../../proto/index.ts';
import type { RevisionFacts } from '../specs.ts';
import { type Entry, isRunning } from '../task-facts.ts';
import type { Turn } from '../turn.ts';

/** One service while a turn looks at it. */
export class Scope {
  readonly turn: Turn;
  readonly service: Service;
  readonly #before: ServiceState | undefined;
  state: ServiceState;
  #running: RevisionFacts | undefined;

  constructor(turn: Turn, service: Service) {
    this.turn = turn;
    this.service = service;
    this.#before = turn.state(service.id);
    this.state = this.#before ?? firstState(service);
  }

  get id(): string {
    return this.service.id;
  }
  get name(): string {
    return this.service.spec?.name ?? this.service.id;
  }
  get isGlobal(): boolean {
    return this.service.spec?.mode === ServiceMode.GLOBAL;
  }
  /** What new tasks are made from. */
  get running(): RevisionFacts {
    if (this.#running?.revision !== this.state.runningRevision)
      this.#running = this.facts(this.state.runningRevision);
    return this.#running;
  }
  facts(revision: number): RevisionFacts {
    return this.turn.specs.get(this.turn.draft, this.id, revision);
  }
  /** Facts of a task's revision; of the running one where its own is no longer kept. */
  factsOf(entry: Entry): RevisionFacts {
    if (entry.task.revision === this.state.runningRevision) return this.running;
    const { draft, specs } = this.turn;
    return specs.find(draft, this.id, entry.task.revision) ?? this.running;
  }

  /** Running, and ready where that is asked: it counts for its service. */
  isUp(entry: Entry): boolean {
    if (!isRunning(entry)) return false;
    return this.factsOf(entry).task.ready === null || entry.status!.ready;
  }

  patch(patch: Partial<ServiceState>): void {
    this.state = ServiceState.with(this.state, patch);
  }
  /** Writes the state if it is another one than before. */
  save(): void {
    if (this.state === this.#before) return;
    this.turn.draft.put('serviceState', this.state);
    this.turn.endpoints.add(this.id);
  }
  tell(action: string, message: string): void {
    this.turn.tell('service', action, this.id, this.name, message);
  }
}

function firstState(service: Service): ServiceState {
  const { id, revision } = service;
  return ServiceState.create({
    id,
    runningRevision: revision,
    stableRevision: revision,
    seenRevision: revision,
  });
}

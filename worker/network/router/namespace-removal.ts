import { HOST, type Netcmd, script } from './netcmd.ts';

interface Batch {
  readonly names: Set<string>;
  /** What the program said. */
  readonly output: Promise<string>;
}

/**
 * Takes network namespaces away: one program for all that are asked for while the one before it runs.
 * A hundred containers that end together would otherwise start two hundred programs.
 */
export class NamespaceRemoval {
  readonly #netcmd: Netcmd;
  #last: Promise<unknown> = Promise.resolve();
  #next: Batch | undefined;

  constructor(netcmd: Netcmd) {
    this.#netcmd = netcmd;
  }
  /** Resolves with what was said about those that it could not take away; one that is not there is none. */
  remove(name: string): Promise<string> {
    const batch = this.#next ?? this.#open();
    batch.names.add(name);
    return batch.output;
  }
  #open(): Batch {
    const names = new Set<string>();
    const output = this.#last.then(() => {
      this.#next = undefined;
      return this.#run(names);
    });
    this.#last = output;
    this.#next = { names, output };
    return this.#next;
  }
  async #run(names: ReadonlySet<string>): Promise<string> {
    const input = `for name in ${[...names].join(' ')}; do
  [ ! -e /run/netns/$name ] || echo "netns del $name"
done | ip -force -batch -
`;
    const { output } = await this.#netcmd.run(script(HOST, input));
    return output.trim();
  }
}

import type { Command, Netcmd, Outcome } from './netcmd.ts';
import { OBSERVE_SCRIPT } from './observe.ts';

/** For tests: a kernel that has nothing and takes everything; what was typed is kept. */
export class RecordingNetcmd implements Netcmd {
  readonly commands: Command[] = [];
  /** The program that fails next, and what it then says. */
  failing: { readonly program: Command['program']; readonly output: string } | undefined;

  /** What the kernel remembers of packets, as grep would find it. */
  flows = '';

  async run(command: Command): Promise<Outcome> {
    if (command.input === OBSERVE_SCRIPT) return { code: 0, output: '[]\n'.repeat(7) };
    if (/^ *wg show/m.test(command.input) && !command.input.includes('wg set'))
      return { code: 0, output: '' };
    this.commands.push(command);
    if (this.failing?.program === command.program) {
      const { output } = this.failing;
      this.failing = undefined;
      return { code: 1, output };
    }
    if (command.program === 'grep') return { code: this.flows === '' ? 1 : 0, output: this.flows };
    const isHostScript = command.input.includes('echo "uplink ');
    return { code: 0, output: isHostScript ? 'uplink 169.254.112.1 169.254.112.2 no no\n' : '' };
  }
  /** What was typed since the last call, as people read it. */
  text(): string {
    return this.commands
      .splice(0)
      .map(({ place, program, args, input }) => {
        const where = place.in === 'host' ? 'host' : place.name;
        return `# ${where}: ${[program, ...args].join(' ')}\n${input}`;
      })
      .join('\n');
  }
}

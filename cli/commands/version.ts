import { Empty, LocalService } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { VERSION } from '../../shared/version.ts';
import type { Verb } from '../command.ts';
import { Template } from '../output/template.ts';

export const version: Verb = {
  declare(command) {
    command
      .option('--format <FORMAT>', 'json or a template such as {{.Client}}')
      .option('-q, --quiet', 'Only the version of this program');
  },
  async run(context, _words, flags) {
    if (flags.is('quiet')) {
      context.io.out(`${VERSION}\n`);
      return;
    }
    let daemon = '';
    let why = '';
    try {
      const session = await context.connect();
      daemon = (await session.read(LocalService.info, Empty.create())).versionText;
    } catch (error) {
      // The version of the program itself is wanted also where no daemon runs.
      if (!SwarmError.is(error)) throw error;
      why = error.message.split('\n')[0]!;
    }
    const format = flags.text('format');
    const view = { Client: VERSION, Daemon: daemon, Node: process.versions.node };
    if (format === undefined) {
      const shown = daemon === '' ? `none (${why})` : daemon;
      context.io.out(`Client: ${VERSION} (Node.js ${view.Node})\nDaemon: ${shown}\n`);
    } else {
      context.io.out(
        `${format === 'json' ? JSON.stringify(view) : new Template(format).render(view)}\n`,
      );
    }
  },
};

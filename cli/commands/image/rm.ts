import { ControlService, RemoveImageRequest } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { formatBytes } from '../../parse/bytes.ts';
import { reporter } from '../report.ts';
import { forEachNamed } from '../shared-options.ts';
import { familiarName } from './shown.ts';

export const rm: Verb = {
  declare(command) {
    command
      .argument('<IMAGE...>', 'name or digest')
      .option('-f, --force', 'Although a service uses it: nodes that have it keep it');
  },
  async run(context, words, flags) {
    const session = await context.connect();
    return forEachNamed(words, reporter(context), async (ref) => {
      const request = RemoveImageRequest.create({ ref, force: flags.is('force') });
      const { names, bytes } = await session.write(ControlService.removeImage, request);
      for (const name of names)
        context.io.out(`Removed ${familiarName(name)} (${formatBytes(bytes)} freed)\n`);
    });
  },
};

import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import { copyFromContainerd, copyFromDocker } from '../../image/local-image.ts';
import { reporter } from '../report.ts';
import { forEachNamed } from '../shared-options.ts';
import { printImages } from './shown.ts';

export const push: Verb = {
  declare(command) {
    command
      .argument('<IMAGE...>', 'images of this machine')
      .option('-q, --quiet', 'Print names only')
      .addHelpText(
        'after',
        "\nReads them from this machine's Docker (DOCKER_HOST) or containerd (CONTAINERD_ADDRESS,\n" +
          'CONTAINERD_NAMESPACE) and sends the managers what they lack. No registry is needed.\n' +
          'Example: docker build -t app:1 . && swarm image push app:1',
      );
  },
  async run(context, words, flags) {
    const session = await context.connect();
    return forEachNamed(words, reporter(context), async (name) => {
      const images =
        (await copyFromDocker(context, session, name, 'pushed')) ??
        (await copyFromContainerd(context, session, name));
      if (images === undefined) throw notHere(name);
      printImages(context, images, 'Pushed', flags);
    });
  },
};

function notHere(name: string): SwarmError {
  return new SwarmError('NOT_FOUND', `Neither Docker nor containerd here has the image ${name}.`, {
    advice: 'docker images lists what is there; a file is loaded by swarm image load FILE.tar.',
  });
}

import { ControlService, CreateServiceRequest } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { imageOptions } from '../../image/image-options.ts';
import { withLocalImage } from '../../image/with-local-image.ts';
import { declareServiceOptions } from '../../spec/declare-options.ts';
import { withFiles } from '../../spec/read-files.ts';
import { createSpec } from '../../spec/service.ts';
import { declareConverge, waiter } from './converge.ts';

export const create: Verb = {
  declare(command) {
    command
      .usage(
        '[OPTIONS] IMAGE [ARG...]\n       swarm service create [OPTIONS] --process CMD [ARG...]',
      )
      .argument('[words...]')
      .passThroughOptions()
      .allowUnknownOption(false);
    declareConverge(command);
    declareServiceOptions(command, 'create');
    command.addHelpText(
      'after',
      '\nOptions end at the first word that is none; the rest is the command, untouched.\n' +
        'Example: swarm service create --name web --replicas 3 -p 8080:80 --process hello',
    );
  },
  async run(context, words, flags) {
    const wait = waiter(context, flags);
    const spec = createSpec(await withFiles(context, flags), words, context.io.env);
    const session = await context.connect();
    const image = spec.task?.container?.image ?? '';
    const options = await imageOptions(context, flags, image);
    const view = await withLocalImage(context, session, image, (refuseUnknownImage) =>
      session.write(
        ControlService.createService,
        CreateServiceRequest.create({ spec, ...options, refuseUnknownImage }),
      ),
    );
    const service = view.service!;
    context.io.out(`${service.id}\n`);
    return wait(view);
  },
};

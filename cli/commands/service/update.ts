import type { Verb } from '../../command.ts';
import { imageOptions } from '../../image/image-options.ts';
import { withLocalImage } from '../../image/with-local-image.ts';
import { declareServiceOptions } from '../../spec/declare-options.ts';
import { withFiles } from '../../spec/read-files.ts';
import { changeSpec } from '../../spec/service.ts';
import { updateService } from '../../update-service.ts';
import { declareConverge, waiter } from './converge.ts';
import { rollBack } from './rollback.ts';

export const update: Verb = {
  declare(command) {
    declareConverge(command.argument('<SERVICE>'));
    command.option('--rollback', 'Go back to the revision before');
    declareServiceOptions(command, 'update');
  },
  async run(context, words, typed) {
    if (typed.is('rollback')) return rollBack(context, words[0]!, 0, typed);
    const flags = await withFiles(context, typed);
    const wait = waiter(context, flags);
    const session = await context.connect();
    const image = flags.text('image') ?? '';
    const view = await withLocalImage(context, session, image, (refuseUnknownImage) =>
      updateService(
        session,
        words[0]!,
        (spec) => changeSpec(spec, flags, context.io.env),
        async (spec) => {
          const text = spec.task?.container?.image ?? '';
          return { ...(await imageOptions(context, flags, text)), refuseUnknownImage };
        },
      ),
    );
    const service = view.service!;
    context.io.out(`${service.spec?.name}\n`);
    return wait(view);
  },
};

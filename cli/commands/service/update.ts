import {
  ControlService,
  Ref,
  type ServiceSpec,
  type ServiceView,
  UpdateServiceRequest,
} from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import { type ImageOptions, imageOptions } from '../../image/image-options.ts';
import { withLocalImage } from '../../image/with-local-image.ts';
import type { Session } from '../../session.ts';
import { declareServiceOptions } from '../../spec/declare-options.ts';
import { withFiles } from '../../spec/read-files.ts';
import { changeSpec } from '../../spec/service.ts';
import { declareConverge, waiter } from './converge.ts';
import { rollBack } from './rollback.ts';

/** Flags say what changes, so they are put again over what somebody else wrote meanwhile. */
const ATTEMPTS = 5;

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

/** Reads, changes and writes a spec; again when somebody was faster. */
export async function updateService(
  session: Session,
  ref: string,
  change: (spec: ServiceSpec) => ServiceSpec,
  options: (spec: ServiceSpec) => Promise<ImageOptions> = async () => ({}),
): Promise<ServiceView> {
  for (let attempt = 1; ; attempt++) {
    const { service: view } = await session.read(ControlService.getService, Ref.create({ ref }));
    const { id, version, spec } = view!.service!;
    const wished = change(spec!);
    const image = await options(wished);
    const request = UpdateServiceRequest.create({ ref: id, version, spec: wished, ...image });
    try {
      return await session.write(ControlService.updateService, request);
    } catch (error) {
      const stale = SwarmError.is(error) && error.code === 'VERSION_CONFLICT';
      if (!stale || attempt === ATTEMPTS) throw error;
    }
  }
}

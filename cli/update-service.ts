import {
  ControlService,
  Ref,
  type ServiceSpec,
  type ServiceView,
  UpdateServiceRequest,
} from '../proto/index.ts';
import { SwarmError } from '../shared/errors.ts';
import type { ImageOptions } from './image/image-options.ts';
import type { Session } from './session.ts';

/** Flags say what changes, so they are put again over what somebody else wrote meanwhile. */
const ATTEMPTS = 5;

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

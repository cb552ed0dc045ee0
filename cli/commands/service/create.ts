import { readFile } from 'node:fs/promises';
import { ControlService, CreateServiceRequest } from '../../../proto/index.ts';
import { messageOf, SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import type { Context } from '../../context.ts';
import { imageOptions } from '../../image/image-options.ts';
import { withLocalImage } from '../../image/with-local-image.ts';
import { mergeEnv, parseEnvFile } from '../../parse/env.ts';
import { declareServiceOptions } from '../../spec/declare-options.ts';
import type { Flags } from '../../spec/flags.ts';
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
    const spec = createSpec(await withEnvFiles(context, flags), words, context.io.env);
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

/** Reads the files of `--env-file` and puts their lines in the place of their paths. */
async function withEnvFiles(context: Context, flags: Flags): Promise<Flags> {
  const paths = flags.list('env-file');
  if (paths.length === 0) return flags;
  const lists = await Promise.all(
    paths.map(async (path) => {
      const text = await readFile(path, 'utf8').catch((cause: unknown) => {
        throw new SwarmError(
          'INVALID_ARGUMENT',
          `The --env-file ${path} cannot be read: ${messageOf(cause)}.`,
          { cause, advice: 'Give the path of a file with NAME=VALUE lines.' },
        );
      });
      return parseEnvFile(path, text, context.io.env);
    }),
  );
  return flags.with({ 'env-file': mergeEnv(...lists) });
}

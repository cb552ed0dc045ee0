import { existsSync } from 'node:fs';
import { ContentService, ImagesService } from '../../proto/containerd.ts';
import type { Descriptor } from '../../shared/distribution/documents.ts';
import { imageName, parseReference } from '../../shared/distribution/reference.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Client } from '../../shared/rpc/rpc.ts';
import type { Environment } from '../parse/env.ts';
import type { ImageToCopy } from './image-copy.ts';

/** An image in this machine's containerd. Undefined: there is no containerd, or not this image. */
export async function openContainerdImage(
  env: Environment,
  name: string,
): Promise<{ readonly image: ImageToCopy; close(): void } | undefined> {
  const socket = env['CONTAINERD_ADDRESS'] || '/run/containerd/containerd.sock';
  if (!existsSync(socket)) return undefined;
  const headers = { 'containerd-namespace': env['CONTAINERD_NAMESPACE'] || 'default' };
  const { dial } = await import('../../shared/rpc/client.ts');
  const client = dial(socket);
  const full = imageName(parseReference(name));
  const found = await unlessMissing(
    client.unary(ImagesService.get, ImagesService.get.request.create({ name: full }), { headers }),
  ).catch((error: unknown) => {
    client.close();
    throw error;
  });
  const target = found?.image?.target;
  if (!target) {
    client.close();
    return undefined;
  }
  const { mediaType, digest, size } = target;
  const root = { mediaType, digest, size };
  const image = { names: [name], root, origin: 'pushed' as const, ...contentOf(client, headers) };
  return { image, close: () => client.close() };
}

type Headers = { readonly [name: string]: string };

function contentOf(
  client: Client,
  headers: Headers,
): Pick<ImageToCopy, 'has' | 'document' | 'blob'> {
  const { info, read } = ContentService;
  async function* bytesOf({ digest }: Descriptor, most = 0): AsyncIterable<Uint8Array> {
    const request = read.request.create({ digest, size: most });
    for await (const { data } of client.serverStream(read, request, { headers })) yield data;
  }
  return {
    async has(digest) {
      const asked = client.unary(info, info.request.create({ digest }), { headers });
      return (await unlessMissing(asked)) !== undefined;
    },
    async document(descriptor) {
      const parts: Uint8Array[] = [];
      const most = Math.min(descriptor.size, LIMITS.imageDocumentBytesMax);
      for await (const part of bytesOf(descriptor, most)) parts.push(part);
      return Buffer.concat(parts);
    },
    blob: async (descriptor) => ({ offset: 0, bytes: bytesOf(descriptor) }),
  };
}

async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (SwarmError.is(error) && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
}

import { cp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What a disk or a crash did to one file of a member's directory. */
export type Fault =
  | { readonly kind: 'cut'; readonly file: string; readonly bytes: number }
  | { readonly kind: 'flip'; readonly file: string; readonly at: number; readonly bit: number }
  /** The file keeps its length, but from here on nothing of it reached the disk. */
  | { readonly kind: 'zeros'; readonly file: string; readonly from: number }
  /** `bytes` (base64) stand at the beginning; the rest is what was there. */
  | { readonly kind: 'torn'; readonly file: string; readonly bytes: string }
  | { readonly kind: 'lost'; readonly file: string };

/** Makes `work` a copy of `base` in which the fault has happened. */
export async function plant(base: string, work: string, fault: Fault | undefined): Promise<void> {
  await rm(work, { recursive: true, force: true });
  await cp(base, work, { recursive: true });
  if (fault === undefined) return;
  const path = join(work, fault.file);
  switch (fault.kind) {
    case 'cut':
      return truncate(path, fault.bytes);
    case 'lost':
      return rm(path);
    default:
      return writeFile(path, changed(await readFile(path), fault));
  }
}

function changed(bytes: Buffer, fault: Fault): Buffer {
  if (fault.kind === 'flip') bytes[fault.at]! ^= 1 << fault.bit;
  if (fault.kind === 'zeros') bytes.fill(0, fault.from);
  if (fault.kind === 'torn') Buffer.from(fault.bytes, 'base64').copy(bytes);
  return bytes;
}

export function describeFault(fault: Fault): string {
  switch (fault.kind) {
    case 'cut':
      return `${fault.file} cut to ${fault.bytes} bytes`;
    case 'flip':
      return `${fault.file} with bit ${fault.bit} of byte ${fault.at} flipped`;
    case 'zeros':
      return `${fault.file} with zeros from ${fault.from}`;
    case 'torn':
      return `${fault.file} with its first ${Buffer.from(fault.bytes, 'base64').length} bytes new`;
    default:
      return `${fault.file} lost`;
  }
}

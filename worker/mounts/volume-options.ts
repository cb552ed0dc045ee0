import type { Mount } from '../../proto/index.ts';
import { RuntimeError } from '../runtime.ts';

const NAME = /^[a-zA-Z0-9][\w.-]{0,254}$/;
/** Of a tmpfs: none of these reaches beyond it. */
const MEMORY_OPTIONS = new Set(['size', 'mode', 'uid', 'gid', 'nr_inodes']);
const MOUNT_OPTIONS = new Set(['volume-driver', 'volume-nocopy', 'volume-subpath']);

/** A volume that a container is about to use. */
export interface VolumeUse {
  /** Empty: one of the task's own, which goes with it. */
  readonly name: string;
  readonly target: string;
  /** Taken where the volume is made by this use. */
  readonly labels?: { readonly [key: string]: string };
  readonly options?: { readonly [key: string]: string };
  /** It begins empty, whatever the image has at that place. */
  readonly noCopy?: boolean;
  /** This directory of it, which is there already, is mounted in place of the whole. */
  readonly subpath?: string;
}

/** Throws RuntimeError INVALID_SPEC: names become directories. */
export function checkVolumeName(name: string): void {
  if (NAME.test(name)) return;
  throw new RuntimeError(
    'INVALID_SPEC',
    `${JSON.stringify(name)} is no name of a volume: letters, digits, and _ . - after the first`,
  );
}

/**
 * The options of the driver `local` as mount(8) takes them; undefined: a plain directory. Memory is
 * all that a volume may be else: other file systems reach into the host or beyond it.
 */
export function memoryOptions(options: { readonly [key: string]: string }): string | undefined {
  const unknown = Object.keys(options).find((key) => !['type', 'device', 'o'].includes(key));
  if (unknown !== undefined) throw unsupported(`the option ${unknown} of a volume`);
  const { type = '', device = '', o = '' } = options;
  if (type === '' && device === '' && o === '') return undefined;
  if (type !== 'tmpfs') {
    throw new RuntimeError(
      'NOT_ALLOWED',
      `a volume of type ${type || device || o} would mount something of the host or of the network ` +
        'there: only type=tmpfs is taken',
    );
  }
  const asked = o === '' ? [] : o.split(',');
  const bad = asked.find((each) => !MEMORY_OPTIONS.has(each.split('=')[0]!) || /\s/.test(each));
  if (bad !== undefined) throw unsupported(`the option o=${bad} of a tmpfs`);
  return ['nosuid', 'nodev', ...asked].join(',');
}

/** What a `--mount type=volume` asks for; its options are checked. */
export function volumeUse({ source, target, options }: Mount): VolumeUse {
  const labels: { [key: string]: string } = {};
  const own: { [key: string]: string } = {};
  for (const [key, value] of Object.entries(options)) {
    if (key.startsWith('volume-label:')) labels[key.slice('volume-label:'.length)] = value;
    else if (key.startsWith('volume-opt:')) own[key.slice('volume-opt:'.length)] = value;
    else if (!MOUNT_OPTIONS.has(key)) throw unsupported(`the option ${key} of a volume`);
  }
  const driver = options['volume-driver'];
  if (driver !== undefined && driver !== 'local') throw unsupported(`the volume driver ${driver}`);
  if (source !== '') checkVolumeName(source);
  memoryOptions(own);
  if (source === '' && Object.keys(own).length > 0) {
    throw new RuntimeError(
      'UNSUPPORTED',
      "options of a volume without a name: give it one, or use type=tmpfs for the task's own",
    );
  }
  const noCopy = ['', '1', 'true'].includes(options['volume-nocopy'] ?? 'false');
  const subpath = options['volume-subpath'] ?? '';
  const use = { name: source, target, labels, options: own, noCopy: noCopy || subpath !== '' };
  if (subpath === '') return use;
  if (source !== '') return { ...use, subpath };
  throw new RuntimeError('INVALID_SPEC', 'volume-subpath needs the name of a volume (source)');
}

function unsupported(what: string): RuntimeError {
  return new RuntimeError('UNSUPPORTED', `this release has not ${what}: leave it out`);
}

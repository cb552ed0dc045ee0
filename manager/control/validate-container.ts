import { isIP } from 'node:net';
import type { ContainerSpec, Mount } from '../../proto/index.ts';
import { isSubpath, SUBPATH_FORM } from '../../shared/subpath.ts';
import { check, checkPlaceholders, checkText } from './field.ts';
import { validateSurroundings, validateWords } from './validate-process.ts';
import { validateRights } from './validate-rights.ts';

// name[:tag][@digest] as registries define it: [host[:port]/]path, path in lower case.
const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const HOST = `(?:${LABEL}(?:\\.${LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const TAG = ':[\\w][\\w.-]{0,127}';
const ALGORITHM = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*';
const DIGEST = `@${ALGORITHM}:[0-9a-fA-F]{32,}`;
const NAME = `(?:${HOST}/)?${COMPONENT}(?:/${COMPONENT})*`;
const IMAGE = new RegExp(`^${NAME}(?:${TAG})?(?:${DIGEST})?$`);
const HOSTNAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?$/;
const MOUNT_TYPES = ['volume', 'bind', 'tmpfs'];

export function validateContainer(spec: ContainerSpec): void {
  check(spec.image !== '', 'image', 'no image is named', 'an image, as in nginx:1.27');
  check(
    spec.image.length <= 1_024 && IMAGE.test(spec.image),
    'image',
    `"${spec.image.slice(0, 200)}" is no image reference`,
    '[HOST[:PORT]/]NAME[:TAG][@DIGEST], the name in lower case',
  );
  validateWords([...spec.command, ...spec.args], 'command');
  validateSurroundings(spec);
  check(
    spec.hostname === '' || HOSTNAME.test(spec.hostname) || spec.hostname.includes('{{'),
    'hostname',
    `"${spec.hostname}" is no host name`,
    'letters, digits, dots and dashes',
  );
  checkPlaceholders(spec.hostname, 'hostname');
  check(
    spec.oomScoreAdj >= -1000 && spec.oomScoreAdj <= 1000,
    'oom_score_adj',
    `${spec.oomScoreAdj}`,
    '-1000 to 1000',
  );
  validateNames(spec);
  validateMounts(spec.mounts);
  validateRights(spec);
}

function validateNames(spec: ContainerSpec): void {
  for (const address of spec.dns)
    check(isIP(address) !== 0, 'dns', `"${address}" is no address`, 'IP addresses');
  for (const host of spec.hosts) {
    const parts = /^([^\s:]+):(.+)$/.exec(host) ?? /^(\S+)\s+(\S+)$/.exec(host);
    const known = parts !== null && (isIP(parts[2]!) !== 0 || isIP(parts[1]!) !== 0);
    check(known, 'hosts', `"${host}" is no host entry`, 'NAME:ADDRESS');
  }
  for (const name of [...spec.capabilityAdd, ...spec.capabilityDrop])
    check(
      /^[A-Za-z_]+$/.test(name),
      'capabilities',
      `"${name}" is no capability`,
      'names such as CAP_NET_ADMIN, or ALL',
    );
  for (const key of Object.keys(spec.sysctls))
    check(
      /^[a-z0-9_]+([./][a-zA-Z0-9_-]+)+$/.test(key),
      'sysctls',
      `"${key}" is no sysctl`,
      'names such as net.core.somaxconn',
    );
}

function validateMounts(mounts: readonly Mount[]): void {
  const targets = new Set<string>();
  for (const mount of mounts) {
    check(
      MOUNT_TYPES.includes(mount.type),
      'mounts.type',
      `"${mount.type}" is no kind of mount`,
      MOUNT_TYPES.join(', '),
    );
    check(
      mount.target.startsWith('/'),
      'mounts.target',
      `"${mount.target}" is not absolute`,
      'a path that begins with /',
    );
    check(
      !targets.has(mount.target),
      'mounts.target',
      `${mount.target} is mounted twice`,
      'each target once',
    );
    targets.add(mount.target);
    checkText(mount.target, 'mounts.target');
    checkText(mount.source, 'mounts.source');
    checkPlaceholders(mount.target, 'mounts.target');
    checkPlaceholders(mount.source, 'mounts.source');
    if (mount.type === 'volume') validateVolume(mount);
    if (mount.type === 'tmpfs') validateTmpfs(mount);
    const absolute = mount.type !== 'bind' || mount.source.startsWith('/');
    check(
      absolute,
      'mounts.source',
      `"${mount.source}" is not absolute`,
      'an absolute path of the host',
    );
    check(
      mount.type !== 'tmpfs' || mount.source === '',
      'mounts.source',
      'a tmpfs has no source',
      'no source with type=tmpfs',
    );
  }
}

function validateTmpfs({ options }: Mount): void {
  const { 'tmpfs-size': size = '0', 'tmpfs-mode': mode = '1777' } = options;
  check(/^\d+$/.test(size), 'mounts.tmpfs-size', `"${size}" is no size`, 'a number of bytes');
  const isOctal = /^[0-7]{3,5}$/.test(mode);
  check(isOctal, 'mounts.tmpfs-mode', `"${mode}" is no mode`, 'octal digits, as in 1777');
}

const VOLUME_NAME = /^[a-zA-Z0-9][\w.-]{0,254}$/;

/** Without a name it is the task's own. Its node checks what placeholders become. */
function validateVolume({ source, options }: Mount): void {
  check(
    source === '' || source.includes('{{') || VOLUME_NAME.test(source),
    'mounts.source',
    `"${source.slice(0, 200)}" is no name of a volume`,
    'letters, digits, and _ . - after the first; type=bind for a path of the host',
  );
  const driver = options['volume-driver'] ?? 'local';
  check(driver === 'local', 'mounts.volume-driver', `there is no driver ${driver}`, 'local');
  const subpath = options['volume-subpath'] ?? '';
  check(
    subpath === '' || (source !== '' && isSubpath(subpath)),
    'mounts.volume-subpath',
    source === '' ? 'the volume has no name' : `"${subpath.slice(0, 200)}" is not in the volume`,
    SUBPATH_FORM,
  );
  const type = options['volume-opt:type'] ?? 'tmpfs';
  check(
    type === 'tmpfs',
    'mounts.volume-opt',
    `type=${type} would mount something of the host or of the network there`,
    'type=tmpfs',
  );
}

import {
  type DockerSeccomp,
  type DockerSyscalls,
  parseSeccomp,
  type SeccompCondition,
} from '../../../shared/seccomp-profile.ts';
import { RuntimeError } from '../../runtime.ts';
import { SECCOMP_RULES, type SeccompRule } from './seccomp-rules.ts';

/** `linux.seccomp` of an OCI spec. */
export interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly architectures: readonly string[];
  readonly flags?: readonly string[];
  readonly syscalls: readonly SeccompSyscalls[];
}

interface SeccompSyscalls {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?: readonly {
    readonly index: number;
    readonly value: number;
    readonly valueTwo?: number;
    readonly op: string;
  }[];
}

const EPERM = 1;
const X32 = 'SCMP_ARCH_X32';
/** With the other instruction sets that the same machine may run. */
const ARCHITECTURES: { readonly [architecture: string]: readonly string[] } = {
  amd64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', X32],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
};

/** The filter that a container has unless it is given another. */
export function seccompProfile(place: Omit<SeccompPlace, 'kernel'>): SeccompProfile {
  const { architecture, capabilities, x32 } = place;
  const rules = SECCOMP_RULES.filter((rule) => holds(rule, architecture, capabilities));
  const all = ARCHITECTURES[architecture] ?? [];
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: x32 ? all : all.filter((each) => each !== X32),
    syscalls: rules.flatMap(syscallsOf),
  };
}

/** What a filter is made for. */
export interface SeccompPlace {
  /** As registries name it. */
  readonly architecture: string;
  /** Of the container, without CAP_. */
  readonly capabilities: ReadonlySet<string>;
  /** As uname has it: 6.1.0-18-amd64. */
  readonly kernel: string;
  /** This kernel runs programs of x32. */
  readonly x32: boolean;
}

/** A profile in Docker's JSON form. Throws RuntimeError INVALID_SPEC for what is none. */
export function customSeccomp(text: string, place: SeccompPlace): SeccompProfile {
  const profile = readProfile(text);
  const { defaultAction, defaultErrnoRet, flags } = profile;
  return {
    defaultAction,
    ...(defaultErrnoRet === undefined ? {} : { defaultErrnoRet }),
    architectures: architecturesOf(profile, place.architecture),
    ...(flags.length === 0 ? {} : { flags }),
    syscalls: profile.syscalls.filter((entry) => applies(entry, place)).map(customSyscalls),
  };
}

function readProfile(text: string): DockerSeccomp {
  try {
    return parseSeccomp(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new RuntimeError('INVALID_SPEC', `the seccomp profile can not be read: ${why}`);
  }
}

function architecturesOf(profile: DockerSeccomp, architecture: string): readonly string[] {
  if (profile.architectures.length > 0) return profile.architectures;
  const [native = ''] = ARCHITECTURES[architecture] ?? [];
  const mapped = profile.archMap.filter((entry) => entry.architecture === native);
  return mapped.flatMap((entry) => [entry.architecture, ...entry.subArchitectures]);
}

function applies({ includes, excludes }: DockerSyscalls, place: SeccompPlace): boolean {
  const excluded =
    excludes.caps.some((name) => hasCapability(place, name)) ||
    excludes.arches.includes(place.architecture) ||
    (excludes.minKernel !== '' && isAtLeast(place.kernel, excludes.minKernel));
  return !excluded && includesPlace(includes, place);
}

function includesPlace(
  { caps, arches, minKernel }: SeccompCondition,
  place: SeccompPlace,
): boolean {
  if (arches.length > 0 && !arches.includes(place.architecture)) return false;
  if (minKernel !== '' && !isAtLeast(place.kernel, minKernel)) return false;
  return caps.every((name) => hasCapability(place, name));
}

function hasCapability({ capabilities }: SeccompPlace, name: string): boolean {
  return capabilities.has(name.replace(/^CAP_/, ''));
}

function isAtLeast(kernel: string, wanted: string): boolean {
  const [major = 0, minor = 0] = kernel.split(/[.-]/).map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

function customSyscalls({ names, action, errnoRet, args }: DockerSyscalls): SeccompSyscalls {
  return {
    names,
    action,
    ...(errnoRet === undefined ? {} : { errnoRet }),
    ...(args.length === 0 ? {} : { args }),
  };
}

function holds(
  rule: SeccompRule,
  architecture: string,
  capabilities: ReadonlySet<string>,
): boolean {
  const { capability, withoutCapability, architectures } = rule;
  if (capability !== undefined && !capabilities.has(capability)) return false;
  if (withoutCapability !== undefined && capabilities.has(withoutCapability)) return false;
  return architectures === undefined || architectures.includes(architecture);
}

/** Conditions in one entry must all hold, so alternatives are entries of their own. */
function syscallsOf(rule: SeccompRule): SeccompSyscalls[] {
  const names = rule.calls.split(' ');
  if (rule.errno !== undefined) {
    return [{ names, action: 'SCMP_ACT_ERRNO', errnoRet: rule.errno }];
  }
  if (rule.when === undefined) return [{ names, action: 'SCMP_ACT_ALLOW' }];
  return rule.when.map(([index, op, value, valueTwo]) => ({
    names,
    action: 'SCMP_ACT_ALLOW',
    args: [{ index, value, ...(valueTwo === undefined ? {} : { valueTwo }), op: `SCMP_CMP_${op}` }],
  }));
}

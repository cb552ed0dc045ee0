import { SECCOMP_RULES, type SeccompRule } from './seccomp-rules.ts';

/** `linux.seccomp` of an OCI spec. */
export interface SeccompProfile {
  readonly defaultAction: 'SCMP_ACT_ERRNO';
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly SeccompSyscalls[];
}

interface SeccompSyscalls {
  readonly names: readonly string[];
  readonly action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  readonly errnoRet?: number;
  readonly args?: readonly {
    readonly index: number;
    readonly value: number;
    readonly valueTwo?: number;
    readonly op: string;
  }[];
}

const EPERM = 1;
/** With the older instruction sets that the same machine runs. */
const ARCHITECTURES: { readonly [architecture: string]: readonly string[] } = {
  amd64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
};

/** The filter for a container with these capabilities (names without CAP_). */
export function seccompProfile(
  architecture: string,
  capabilities: ReadonlySet<string>,
): SeccompProfile {
  const rules = SECCOMP_RULES.filter((rule) => holds(rule, architecture, capabilities));
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: ARCHITECTURES[architecture] ?? [],
    syscalls: rules.flatMap(syscallsOf),
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

/** A filter of system calls as Docker writes it in JSON. What a field means: seccomp(7), and Docker's manual. */
export interface DockerSeccomp {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly architectures: readonly string[];
  readonly archMap: readonly {
    readonly architecture: string;
    readonly subArchitectures: readonly string[];
  }[];
  readonly flags: readonly string[];
  readonly syscalls: readonly DockerSyscalls[];
}
export interface DockerSyscalls {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args: readonly DockerArgument[];
  readonly includes: SeccompCondition;
  readonly excludes: SeccompCondition;
}
export interface DockerArgument {
  readonly index: number;
  readonly value: number;
  readonly valueTwo: number;
  readonly op: string;
}
/** Where a rule holds; what is empty says nothing. */
export interface SeccompCondition {
  readonly caps: readonly string[];
  readonly arches: readonly string[];
  readonly minKernel: string;
}

const ACTION = /^SCMP_ACT_(KILL|KILL_PROCESS|KILL_THREAD|TRAP|ERRNO|TRACE|ALLOW|LOG|NOTIFY)$/;
const OPERATOR = /^SCMP_CMP_(NE|LT|LE|EQ|GE|GT|MASKED_EQ)$/;
const ARCHITECTURE = /^SCMP_ARCH_[A-Z0-9_]+$/;
const CALL = /^[a-z0-9_]{1,64}$/;

/** Throws an Error that says in a few words what is wrong with the text. */
export function parseSeccomp(text: string): DockerSeccomp {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Error('it is no JSON');
  }
  const profile = objectOf(json, 'the profile');
  if (!('defaultAction' in profile)) throw new Error('it has no defaultAction');
  const errno = optionalNumber(profile, 'defaultErrnoRet');
  return {
    defaultAction: match(profile['defaultAction'], ACTION, 'defaultAction'),
    ...(errno === undefined ? {} : { defaultErrnoRet: errno }),
    architectures: words(profile, 'architectures', ARCHITECTURE),
    archMap: list(profile, 'archMap').map((each) => {
      const entry = objectOf(each, 'archMap');
      return {
        architecture: match(entry['architecture'], ARCHITECTURE, 'archMap.architecture'),
        subArchitectures: words(entry, 'subArchitectures', ARCHITECTURE),
      };
    }),
    flags: words(profile, 'flags', /^SECCOMP_FILTER_FLAG_[A-Z_]+$/),
    syscalls: list(profile, 'syscalls').map(syscallsOf),
  };
}

function syscallsOf(value: unknown): DockerSyscalls {
  const entry = objectOf(value, 'syscalls');
  const single =
    'name' in entry && entry['name'] !== '' ? [match(entry['name'], CALL, 'name')] : [];
  const names = [...single, ...words(entry, 'names', CALL)];
  if (names.length === 0) throw new Error('an entry of syscalls has no names');
  const errno = optionalNumber(entry, 'errnoRet');
  return {
    names,
    action: match(entry['action'], ACTION, 'syscalls.action'),
    ...(errno === undefined ? {} : { errnoRet: errno }),
    args: list(entry, 'args').map(argumentOf),
    includes: conditionOf(entry, 'includes'),
    excludes: conditionOf(entry, 'excludes'),
  };
}

function argumentOf(value: unknown): DockerArgument {
  const entry = objectOf(value, 'args');
  const index = optionalNumber(entry, 'index') ?? 0;
  if (index > 5) throw new Error(`a system call has no argument ${index}`);
  return {
    index,
    value: optionalNumber(entry, 'value') ?? 0,
    valueTwo: optionalNumber(entry, 'valueTwo') ?? 0,
    op: match(entry['op'], OPERATOR, 'args.op'),
  };
}

function conditionOf(entry: Fields, name: string): SeccompCondition {
  const given = entry[name];
  const fields = given === undefined || given === null ? {} : objectOf(given, name);
  const kernel = fields['minKernel'];
  return {
    caps: words(fields, 'caps', /^CAP_[A-Z_]+$/),
    arches: words(fields, 'arches', /^[a-z0-9_]+$/),
    minKernel: kernel === undefined ? '' : match(kernel, /^\d+\.\d+$/, 'minKernel'),
  };
}

type Fields = { readonly [name: string]: unknown };

function objectOf(value: unknown, what: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new Error(`${what} is no object`);
}

function list(fields: Fields, name: string): readonly unknown[] {
  const value = fields[name] ?? [];
  if (Array.isArray(value)) return value;
  throw new Error(`${name} is no list`);
}

function words(fields: Fields, name: string, pattern: RegExp): readonly string[] {
  return list(fields, name).map((value) => match(value, pattern, name));
}

function match(value: unknown, pattern: RegExp, what: string): string {
  if (typeof value === 'string' && pattern.test(value)) return value;
  throw new Error(`${JSON.stringify(value)?.slice(0, 80)} is no ${what}`);
}

function optionalNumber(fields: Fields, name: string): number | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`${name} is no number`);
}

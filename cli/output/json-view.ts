/** Maps of users' words: their keys are data and stay as they are. */
const MAPS = new Set([
  'labels',
  'options',
  'generic',
  'features',
  'engineLabels',
  'driverOptions',
  'sysctls',
  'attributes',
]);
/** Fields that hold an enum, with the prefix of its names. */
const ENUMS: { readonly [field: string]: readonly string[] } = {
  mode: ['SERVICE_MODE_', 'PUBLISH_MODE_', 'ENDPOINT_MODE_'],
  state: ['TASK_STATE_', 'ROLLOUT_STATE_'],
  desiredState: ['TASK_STATE_'],
  role: ['ROLE_'],
  availability: ['AVAILABILITY_'],
  liveness: ['LIVENESS_'],
  condition: ['RESTART_CONDITION_'],
  order: ['UPDATE_ORDER_'],
  failureAction: ['FAILURE_ACTION_'],
  protocol: ['PROTOCOL_'],
  onDisconnect: ['ON_DISCONNECT_'],
};

/**
 * A message's JSON as people and scripts see it: names in Go's capitals (as templates and Docker's
 * own output have them), enums as the words that flags take, nothing that is not there.
 */
export function jsonView(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(jsonView);
  if (typeof value !== 'object' || value === null) return value;
  const out: { [key: string]: unknown } = {};
  for (const [key, field] of Object.entries(value)) {
    if (field === null || field === undefined) continue;
    out[capitalKey(key)] = MAPS.has(key) ? field : enumWord(key, field);
  }
  return out;
}

function enumWord(key: string, field: unknown): unknown {
  if (typeof field !== 'string') return jsonView(field);
  const prefix = ENUMS[key]?.find((candidate) => field.startsWith(candidate));
  if (prefix === undefined) return field;
  return field.slice(prefix.length).toLowerCase().replaceAll('_', '-');
}

/** "nodeId" → "NodeID", "nanoCpus" → "NanoCPUs". */
function capitalKey(key: string): string {
  const fixed: { readonly [key: string]: string } = {
    id: 'ID',
    pid: 'PID',
    cpus: 'CPUs',
    nanoCpus: 'NanoCPUs',
    dns: 'DNS',
    tcp: 'TCP',
    http: 'HTTP',
    oom: 'OOM',
    os: 'OS',
    cidr: 'CIDR',
    ipv6: 'IPv6',
    mtu: 'MTU',
    vni: 'VNI',
  };
  if (Object.hasOwn(fixed, key)) return fixed[key]!;
  return (key.charAt(0).toUpperCase() + key.slice(1)).replace(/Id(?=$|[A-Z])/, 'ID');
}

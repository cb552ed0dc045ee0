import { type Init, NetworkService } from '../../../proto/index.ts';
import { nameBytes } from './answer.ts';
import { HEADER_BYTES } from './message.ts';

/** For tests: a query as clients send it. `edns`: the bytes that it says it takes. */
export function queryFor(
  name: string,
  type: number,
  options: { readonly id?: number; readonly edns?: number; readonly version?: number } = {},
): Buffer {
  const { id = 1, edns, version = 0 } = options;
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(id, 0);
  header[2] = 1;
  header[5] = 1;
  const tail = Buffer.of(type >> 8, type & 255, 0, 1);
  const parts = [header, nameBytes(name), tail];
  if (edns !== undefined) {
    header[11] = 1;
    parts.push(Buffer.of(0, 0, 41, edns >> 8, edns & 255, 0, version, 0, 0, 0, 0));
  }
  return Buffer.concat(parts);
}

export interface Decoded {
  readonly code: number;
  readonly truncated: boolean;
  readonly id: number;
  /** A and AAAA as their bytes in numbers, PTR as a name. */
  readonly values: readonly string[];
}

/** What a client understands of an answer whose records are all of the question's name. */
export function decode(answer: Buffer): Decoded {
  const values: string[] = [];
  let at = HEADER_BYTES;
  while (answer[at] !== 0) at += 1 + answer[at]!;
  at += 5;
  for (let n = answer.readUInt16BE(6); n > 0; n--) {
    const type = answer.readUInt16BE(at + 2);
    const length = answer.readUInt16BE(at + 10);
    const data = answer.subarray(at + 12, at + 12 + length);
    values.push(type === 12 ? nameIn(data) : [...data].join('.'));
    at += 12 + length;
  }
  return {
    code: answer[3]! & 15,
    truncated: (answer[2]! & 2) !== 0,
    id: answer.readUInt16BE(0),
    values,
  };
}

function nameIn(data: Buffer): string {
  const labels: string[] = [];
  for (let at = 0; data[at]! > 0; at += 1 + data[at]!)
    labels.push(data.toString('latin1', at + 1, at + 1 + data[at]!));
  return labels.join('.');
}

export interface TestTask {
  readonly task: number;
  readonly ready?: boolean;
  readonly draining?: boolean;
  readonly slot?: number;
  readonly aliases?: readonly string[];
}

/** A service on a network: task N has 10.0.NET.N. */
export function serviceRow(
  name: string,
  net: number,
  tasks: readonly TestTask[],
  init: Init<NetworkService> = {},
): NetworkService {
  return NetworkService.create({
    id: `${name}/net${net}`,
    serviceId: name,
    serviceName: name,
    networkId: `net${net}`,
    endpoints: tasks.map(({ task, ready = true, draining = false, slot = task, aliases = [] }) => ({
      taskId: `t${task}`,
      nodeId: 'n1',
      slot,
      ready,
      draining,
      aliases,
      address: `10.0.${net}.${task}`,
    })),
    ...init,
  });
}

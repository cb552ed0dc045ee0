import type { TaskUsage } from '../../../proto/index.ts';

/** Reads a file of a container's group in the hierarchy of a controller; empty where there is none. */
type Read = (controller: string, file: string) => string;
type Parts = Partial<TaskUsage>;

/** More is no limit: v1 writes the largest number of pages for none. */
const LIMIT_MAX = 2 ** 52;

/** From control groups v1. As Docker counts it, memory is without what is only a cache of files. */
export function separateUsage(read: Read): Parts {
  const stat = read('memory', 'memory.stat');
  const limit = Number(read('memory', 'memory.limit_in_bytes'));
  const served = read('blkio', 'blkio.throttle.io_service_bytes');
  return {
    cpuNanos: Number(read('cpuacct', 'cpuacct.usage')),
    memoryBytes: beyond(read('memory', 'memory.usage_in_bytes'), stat, 'total_inactive_file'),
    memoryLimitBytes: limit < LIMIT_MAX ? limit : 0,
    blockReadBytes: sumOf(served, /^\d+:\d+ Read (\d+)$/gm),
    blockWrittenBytes: sumOf(served, /^\d+:\d+ Write (\d+)$/gm),
    hasBlock: served !== '',
  };
}

/** From control groups v2. */
export function unifiedUsage(read: Read): Parts {
  const io = read('io', 'io.stat');
  return {
    cpuNanos: field(read('cpu', 'cpu.stat'), 'usage_usec') * 1_000,
    memoryBytes: beyond(
      read('memory', 'memory.current'),
      read('memory', 'memory.stat'),
      'inactive_file',
    ),
    memoryLimitBytes: Number(read('memory', 'memory.max').trim()) || 0,
    blockReadBytes: sumOf(io, /\brbytes=(\d+)/g),
    blockWrittenBytes: sumOf(io, /\bwbytes=(\d+)/g),
    hasBlock: true,
  };
}

/** From /proc/PID/net/dev of any process in the network: all devices but the loopback. */
export function networkUsage(text: string): Parts {
  const lines = text.split('\n').flatMap((line) => {
    const [name = '', rest] = line.split(':');
    return rest === undefined || name.trim() === 'lo' ? [] : [rest.trim().split(/\s+/).map(Number)];
  });
  const sum = (at: number): number => lines.reduce((total, row) => total + (row[at] ?? 0), 0);
  return { netReceivedBytes: sum(0), netSentBytes: sum(8), hasNetwork: lines.length > 0 };
}

function beyond(usage: string, stat: string, cache: string): number {
  return Math.max(0, Number(usage) - field(stat, cache));
}

function field(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}

function sumOf(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);
}

import { column, type Row } from '../output/list.ts';
import { printable } from '../output/printable.ts';
import type { NodeRate, TaskRate } from './rates.ts';

/** Docker's columns, with the node that a task is on. */
export const USAGE_COLUMNS = [
  column('TASK ID', 'ID', 3),
  column('NAME', 'Name'),
  column('NODE', 'Node'),
  column('CPU %', 'CPUPerc'),
  column('MEM USAGE / LIMIT', 'MemUsage'),
  column('MEM %', 'MemPerc', 2),
  column('NET I/O', 'NetIO'),
  column('BLOCK I/O', 'BlockIO'),
  column('PIDS', 'PIDs', 1),
];
export const NODE_USAGE_COLUMNS = [
  column('NODE', 'Node'),
  column('CPU %', 'CPUPerc'),
  column('CPUS', 'CPUs'),
  column('MEM USED / TOTAL', 'MemUsage'),
  column('MEM %', 'MemPerc'),
  column('TASKS', 'Tasks'),
];

export function usageRow(rate: TaskRate, whole: boolean): Row {
  const { usage } = rate;
  const pair = (known: boolean, left: number, right: number): string =>
    known ? `${decimalBytes(left)} / ${decimalBytes(right)}` : '--';
  return {
    ID: whole ? usage.taskId : usage.taskId.slice(0, 12),
    Name: printable(rate.name),
    Node: printable(rate.nodeName),
    CPUPerc: percent(rate.cpuPercent),
    MemUsage: `${binaryBytes(usage.memoryBytes)} / ${binaryBytes(rate.memoryLimitBytes)}`,
    MemPerc: percent(rate.memoryPercent),
    NetIO: pair(usage.hasNetwork, usage.netReceivedBytes, usage.netSentBytes),
    BlockIO: pair(usage.hasBlock, usage.blockReadBytes, usage.blockWrittenBytes),
    PIDs: String(usage.processes),
  };
}

export function nodeUsageRow({ name, usage, cpuPercent, tasks }: NodeRate): Row {
  const { memoryBytes, memoryUsedBytes } = usage;
  return {
    Node: printable(name),
    CPUPerc: percent(cpuPercent),
    CPUs: String(usage.processors),
    MemUsage: `${binaryBytes(memoryUsedBytes)} / ${binaryBytes(memoryBytes)}`,
    MemPerc: percent(memoryBytes > 0 ? (memoryUsedBytes / memoryBytes) * 100 : 0),
    Tasks: String(tasks),
  };
}

function percent(value: number | undefined): string {
  return value === undefined ? '--' : `${value.toFixed(2)}%`;
}

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const DECIMAL = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** 12.5MiB: four digits at most, as Docker shows memory. */
export function binaryBytes(bytes: number): string {
  return scaled(bytes, 1_024, BINARY, 4);
}

/** 1.2MB: three digits at most, as Docker shows what went over a line. */
export function decimalBytes(bytes: number): string {
  return scaled(bytes, 1_000, DECIMAL, 3);
}

function scaled(bytes: number, base: number, units: readonly string[], digits: number): string {
  let value = bytes;
  let at = 0;
  for (; value >= base && at < units.length - 1; at++) value /= base;
  return `${Number(value.toPrecision(digits))}${units[at]}`;
}

import type { View } from '../store/view.ts';

const NAME_CHARS_MAX = 63;

/** A node's name: its hostname, with a number behind it when another node has that name. */
export function uniqueNodeName(view: View, hostname: string): string {
  const plain = hostname.replace(/[^A-Za-z0-9._-]/g, '-').replace(/^[-.]+/, '');
  const base = plain.slice(0, NAME_CHARS_MAX - 5) || 'node';
  const nodes = view.table('node');
  for (let number = 1; ; number++) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (nodes.countBy('name', name) === 0) return name;
  }
}

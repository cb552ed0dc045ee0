import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Items } from './diff.ts';
import { element, type Item, routerTable, type Table } from './items.ts';
import { changedPorts, endPortFlows, findPortFlows, strayFlows } from './port-flows.ts';

const ON_HOST: Table = { place: 'host', family: 4, name: 'swarm_n' };
const ON_HOST6: Table = { ...ON_HOST, family: 6 };
const DOOR = '240.0.0.1';
const DOOR6 = 'fd73:7761:726d:d::1';
const OWN = ['192.168.9.1', 'fd99::1'];

const items = (...list: readonly Item[]): Items => new Map(list.map((each) => [each.id, each]));
const port = (number: number, wire = 17) =>
  element(ON_HOST, 'sw_ports', `${wire} . ${number}`, DOOR);
const port6 = (number: number) => element(ON_HOST6, 'sw_ports', `17 . ${number}`, DOOR6);
const bound = (address: string, number: number) =>
  element(ON_HOST, 'sw_bound', `${address} . 17 . ${number}`, '240.9.9.129');
/** A line as the kernel has it, of a client's datagrams to this port that `from` answers. */
const flow = (to: string, number: number, from: string): string => {
  const client = to.includes(':') ? 'fd99:0000:0000:0000:0000:0000:0000:0254' : '192.168.9.254';
  return (
    `ipv4     2 udp      17 27 src=${client} dst=${to} sport=4001 dport=${number} ` +
    `src=${from} dst=${client} sport=${number} dport=4001 mark=0 zone=0 use=2`
  );
};
const stray = (want: Items, ...lines: readonly string[]): readonly string[] =>
  strayFlows(lines.join('\n'), want, 'host', OWN).map(
    ({ to, port: number, from }) => `${to} ${number} ${from}`,
  );

describe('flows to ports', () => {
  it('are looked for where a UDP port came, went or is sent elsewhere', () => {
    const [have, want] = [items(port(53), port(54), port(55, 6)), items(port(54), port6(56))];
    assert.deepEqual(changedPorts(have, want, 'host'), ['53', '56']);
    assert.deepEqual(changedPorts(have, want, 'router'), []);
    assert.deepEqual(changedPorts(have, have, 'host'), []);
    const moved = items(element(ON_HOST, 'sw_ports', '17 . 53', '240.0.0.2'), port(54));
    assert.deepEqual(changedPorts(have, moved, 'host'), ['53']);
    const [, pattern] = findPortFlows(['53', '54']);
    assert.match(flow('192.168.9.1', 54, '192.168.9.1'), new RegExp(pattern!));
    assert.doesNotMatch(flow('192.168.9.1', 540, '192.168.9.1'), new RegExp(pattern!));
  });
  it('are stray when the host itself has what is published now', () => {
    const own = flow('192.168.9.1', 53, '192.168.9.1');
    assert.deepEqual(stray(items(port(53)), own), ['192.168.9.1 53 192.168.9.1']);
    assert.deepEqual(stray(items(port(54)), own), []);
    const loopback = flow('127.0.0.1', 53, '127.0.0.1');
    assert.deepEqual(stray(items(port(53)), loopback), ['127.0.0.1 53 127.0.0.1']);
  });
  it('are stray when they go to what is published no more', () => {
    const published = flow('192.168.9.1', 53, DOOR);
    assert.deepEqual(stray(items(port(53)), published), []);
    assert.deepEqual(stray(items(), published), ['192.168.9.1 53 240.0.0.1']);
  });
  it('are stray at the address that a port is bound to, and at no other', () => {
    const want = items(bound('192.168.9.1', 53));
    assert.deepEqual(stray(want, flow('192.168.9.1', 53, '192.168.9.1')).length, 1);
    assert.deepEqual(stray(want, flow('127.0.0.1', 53, '127.0.0.1')), []);
  });
  it('of IPv6 are told by the kernel with all digits', () => {
    const to = 'fd99:0000:0000:0000:0000:0000:0000:0001';
    const door = 'fd73:7761:726d:000d:0000:0000:0000:0001';
    assert.deepEqual(stray(items(port6(53)), flow(to, 53, to)), [`${to} 53 ${to}`]);
    assert.deepEqual(stray(items(port6(53)), flow(to, 53, door)), []);
    assert.deepEqual(stray(items(), flow(to, 53, door)), [`${to} 53 ${door}`]);
  });
  it('of others are left alone', () => {
    const far = flow('203.0.113.9', 53, '203.0.113.9');
    assert.deepEqual(stray(items(port(53)), far), []);
    assert.deepEqual(stray(items(port(53)), ''), []);
  });
  it('of containers to a node are stray in the router when it publishes the port now', () => {
    const want = items(element(routerTable(4), 'sw_ports', '17 . 53', 'goto sw_p2'));
    const straight = flow('192.168.9.1', 53, '192.168.9.1');
    assert.equal(strayFlows(straight, want, 'router', OWN).length, 1);
    const published = flow('192.168.9.1', 53, '10.0.1.12');
    assert.deepEqual(strayFlows(published, want, 'router', OWN), []);
  });
  it('are ended one kind at a time', () => {
    const words = endPortFlows({ to: '192.168.9.1', port: 53, from: '192.168.9.1' }).join(' ');
    const expected = '--orig-dst 192.168.9.1 --orig-port-dst 53 --reply-src 192.168.9.1';
    assert.equal(words, `-D -p udp ${expected}`);
  });
});

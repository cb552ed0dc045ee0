import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostRoutes } from './host-routes.ts';

const FOUR = `Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t0163A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0063A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
swu12345678\t0070FEA9\t00000000\t0001\t0\t0\t0\tFCFFFFFF\t0\t0\t0
`;
const zeros = '0'.repeat(32);
const six = (destination: string, bits: string, metric: string, device: string): string =>
  `${destination} ${bits} ${zeros} 00 ${zeros} ${metric} 00000001 00000000 00000001 ${device}\n`;
const SIX = [
  six('fd000000000000000000000000000000', '40', '00000100', 'eth0'),
  six('fe800000000000000000000000000000', '40', '00000100', 'eth0'),
  six(zeros, '00', '00000400', 'eth0'),
  six('fd000000000000000000000000000002', '80', '00000000', 'eth0'),
].join('');

test('routes of the host are told as prefixes, without the default and those of nodes', () => {
  const read = (path: string): string => (path.endsWith('ipv6_route') ? SIX : FOUR);
  assert.deepEqual(hostRoutes(read), ['172.17.0.0/16', '192.168.99.0/24', 'fd00::/64']);
});

test('a kernel without a family has no routes of it', () => {
  const read = (path: string): string => {
    if (path.endsWith('ipv6_route')) throw new Error('ENOENT');
    return FOUR;
  };
  assert.deepEqual(hostRoutes(read), ['172.17.0.0/16', '192.168.99.0/24']);
});

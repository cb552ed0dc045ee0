import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { countInbound, countUnconfirmed } from './task-sockets.ts';

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n';

describe('connections to a task', () => {
  const count = (four: readonly string[], six: readonly string[] = []) => {
    const text = (lines: readonly string[]): string =>
      HEAD + lines.map((line, at) => `   ${at}: ${line} 00000000:00000000\n`).join('');
    return countInbound(7, async (path) => {
      if (path === '/proc/7/net/tcp') return text(four);
      if (path === '/proc/7/net/tcp6') return text(six);
      throw new Error(path);
    });
  };

  it('are those to ports that it listens on, in any state in which it may still answer', async () => {
    const lines = [
      '00000000:0050 00000000:0000 0A',
      '0B01000A:0050 0C01000A:C350 01',
      '0B01000A:0050 0C01000A:C351 03',
      '0B01000A:0050 0C01000A:C352 08',
      '0B01000A:0050 0C01000A:C353 06',
    ];
    assert.equal(await count(lines), 3);
  });
  it('are not those that it opened itself', async () => {
    assert.equal(await count(['0B01000A:C350 0C01000A:0050 01']), 0);
  });
  it('are not those of its own loopback', async () => {
    assert.equal(
      await count(['00000000:0050 00000000:0000 0A', '0100007F:0050 0100007F:C350 01']),
      0,
    );
  });
  it('are seen through a socket of IPv6 as well', async () => {
    const listener =
      '00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A';
    const mapped = '0000000000000000FFFF00000B01000A:0050 0000000000000000FFFF00000C01000A:C350 01';
    const local = '0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000100007F:C350 01';
    assert.equal(await count([], [listener, mapped, local]), 1);
  });
  it('are not known of a task that is gone', async () => {
    assert.equal(await countInbound(7, () => Promise.reject(new Error('ENOENT'))), undefined);
  });
});

describe('connections of a task that has ended', () => {
  const lines = (...states: readonly string[]): string =>
    HEAD +
    states
      .map((state, at) => `   ${at}: 0B01000A:0050 0C01000A:C35${at} ${state} 00000000:00000000\n`)
      .join('');

  it('wait for the other end while the last bytes are on their way', () => {
    assert.equal(countUnconfirmed(lines('04', '09', '0B')), 3);
  });
  it('wait for nobody once it has confirmed them', () => {
    assert.equal(countUnconfirmed(lines('05', '06', '07', '0A')), 0);
  });
  it('are not those of its own loopback', () => {
    assert.equal(countUnconfirmed(`${HEAD}   0: 0100007F:0050 0100007F:C350 04 0:0\n`), 0);
  });
});

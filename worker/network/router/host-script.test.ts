import assert from 'node:assert/strict';
import { test } from 'node:test';
import { destroyScript, hostScript } from './host-script.ts';
import { nodeNames } from './names.ts';

test('a router is made and taken away under one lock, which is taken before anything is done', () => {
  const names = nodeNames('node1000');
  for (const script of [
    hostScript({ names, overlay: true, six: true }),
    destroyScript(names, false),
  ]) {
    const lines = script.split('\n');
    const locked = lines.indexOf('flock 9');
    assert.equal(lines[locked - 1], 'exec 9>/run/swarm-uplink.lock');
    assert.doesNotMatch(lines.slice(0, locked - 1).join('\n'), /\b(ip|nft|nsenter|iptables) /);
  }
});

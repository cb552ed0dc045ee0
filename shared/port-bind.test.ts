import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePortBind } from './port-bind.ts';

const cases: readonly [string, string | undefined][] = [
  ['', 'all'],
  ['127.0.0.1', 'address'],
  ['fd00::1', 'address'],
  ['eth1', 'interface'],
  ['br-lan.20', 'interface'],
  ['node.labels.uplink', 'label'],
  ['node.labels.net/public', 'label'],
  ['node.labels.', 'interface'],
  ['1eth', undefined],
  ['an-interface-of-too-many-letters', undefined],
  ['node.labels.a b', undefined],
  ['300.1.1.1', undefined],
];

for (const [text, kind] of cases)
  test(`a port bound to "${text}" is bound to ${kind ?? 'nothing that there is'}`, () =>
    assert.equal(parsePortBind(text)?.kind, kind));

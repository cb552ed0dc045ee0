import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Node, NodeStatus, Role } from '../../proto/index.ts';
import { meets, parseConstraint } from './constraint.ts';

const node = Node.create({
  id: 'abc',
  name: 'one',
  role: Role.MANAGER,
  labels: { Zone: 'A', empty: '' },
});
const status = NodeStatus.create({
  id: 'abc',
  address: '10.1.2.3:2377',
  description: {
    hostname: 'one',
    os: 'linux',
    architecture: 'x64',
    engineLabels: { disk: 'ssd' },
  },
});
function holds(text: string): boolean {
  const constraint = parseConstraint(text);
  assert.ok(constraint !== undefined, `${text} is not understood`);
  return meets(constraint, node, status);
}

test('values are compared without case, label keys with it', () => {
  assert.equal(holds('node.labels.Zone==a'), true);
  assert.equal(holds('node.labels.zone==A'), false);
  assert.equal(holds('NODE.ROLE == Manager'), true);
  assert.equal(holds('node.hostname != ONE'), false);
});

test('a missing label reads as empty', () => {
  assert.equal(holds('node.labels.none!=x'), true);
  assert.equal(holds('node.labels.none=='), true);
  assert.equal(holds('engine.labels.disk==ssd'), true);
});

test('a key that nobody knows matches neither way', () => {
  assert.equal(holds('node.label.Zone==A'), false);
  assert.equal(holds('node.label.Zone!=A'), false);
});

test('architectures are known by all of their names', () => {
  assert.equal(holds('node.platform.arch==x86_64'), true);
  assert.equal(holds('node.platform.arch==amd64'), true);
  assert.equal(holds('node.platform.arch!=aarch64'), true);
  assert.equal(holds('node.platform.os==Linux'), true);
});

test('addresses match alone or as a network', () => {
  assert.equal(holds('node.ip==10.1.2.3'), true);
  assert.equal(holds('node.ip==10.1.0.0/16'), true);
  assert.equal(holds('node.ip!=10.1.0.0/16'), false);
  assert.equal(holds('node.ip==10.2.0.0/16'), false);
  assert.equal(holds('node.ip==nonsense'), false);
});

test('anything else than == and != is no constraint', () => {
  for (const text of ['node.id=abc', 'node.id', '==abc', 'node.id>abc'])
    assert.equal(parseConstraint(text), undefined, text);
});

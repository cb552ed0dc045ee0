import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AssignedTask, type Init } from '../../proto/index.ts';
import { taskEnvironment } from './process/environment.ts';
import { expandTemplate } from './templates.ts';

const node = { id: 'node1', hostname: 'alpha', architecture: 'amd64' };
const task = (init: Init<AssignedTask> = {}): AssignedTask =>
  AssignedTask.create({
    id: 'task1',
    serviceId: 'service1',
    serviceName: 'web',
    slot: 3,
    serviceLabels: { team: 'blue', 'com.example.tier': 'front' },
    ...init,
  });

test('placeholders hold the values of the task, its service and its node', () => {
  const text =
    '{{.Service.Name}} {{ .Task.Slot }} {{.Task.Name}} {{.Node.Hostname}} ' +
    '{{.Node.Platform.Architecture}} {{.Service.Labels.com.example.tier}}';
  assert.equal(expandTemplate(text, task(), node), 'web 3 web.3.task1 alpha x86_64 front');
});

test('a task without a slot is named by its node', () => {
  assert.equal(expandTemplate('{{.Task.Slot}}', task({ slot: 0 }), node), 'node1');
});

test('what is no placeholder, and a label that is not there, is refused with what to do', () => {
  const refused = (text: string, message: RegExp) =>
    assert.throws(() => expandTemplate(text, task(), node), { code: 'INVALID_SPEC', message });
  refused('{{.Task.Sloth}}', /^\{\{\.Task\.Sloth\}\} is no placeholder: .*\.Task\.Slot/);
  refused('{{.Service.Labels.none}}', /web has no label none: give it with --label none=VALUE/);
});

test('the environment of a process has them too, and text in braces of other kinds stays', () => {
  const env = ['WHO={{.Task.Slot}}@{{.Node.Hostname}}', 'JSON={"a":{}}'];
  const made = taskEnvironment(task({ spec: { process: { command: ['x'], env } } }), {
    node,
    pathDirs: [],
    home: '/',
    user: 'ada',
    tmpdir: '/tmp',
    ports: [],
    host: '127.0.0.1',
    units: ['DOCKER_RESOURCE_GPU=G1'],
  });
  assert.equal(made['WHO'], '3@alpha');
  assert.equal(made['JSON'], '{"a":{}}');
  assert.equal(made['DOCKER_RESOURCE_GPU'], 'G1');
});

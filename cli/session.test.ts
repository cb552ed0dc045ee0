import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ControlService,
  EventItem,
  EventsRequest,
  InfoResponse,
  ListNodesResponse,
  ListRequest,
} from '../proto/index.ts';
import { SwarmError } from '../shared/errors.ts';
import { SeededIds } from '../shared/ids.ts';
import { SeededRandom } from '../shared/random.ts';
import { Session } from './session.ts';
import { FakeClient } from './testing/fake-session.ts';

const never = new AbortController().signal;

function sessionOn(answers: ConstructorParameters<typeof FakeClient>[0]) {
  const client = new FakeClient(answers);
  const session = new Session('/fake.sock', client, new SeededIds(new SeededRandom(1)));
  const events = async (): Promise<void> => {
    const request = EventsRequest.create();
    for await (const _ of session.stream(ControlService.events, request, never));
  };
  return { client, session, events, names: () => client.calls.map(({ name }) => name) };
}

test('a daemon that hangs is noticed before a stream waits for it without end', async () => {
  const { events, names } = sessionOn({
    Info: () => {
      throw new SwarmError('UNREACHABLE', 'it could not be reached in time');
    },
  });
  await assert.rejects(events(), { code: 'UNREACHABLE' });
  assert.deepEqual(names(), ['Info']);
});

test('a daemon that has answered once is not asked again, whatever it answered', async () => {
  const { events, names } = sessionOn({
    Info: () => InfoResponse.create(),
    Events: () => [EventItem.create()],
  });
  await events();
  await events();
  assert.deepEqual(names(), ['Info', 'Events', 'Events']);
  const refuses = sessionOn({ Events: () => [] });
  await refuses.events();
  assert.deepEqual(refuses.names(), ['Info', 'Events'], 'a refusal is an answer');
  const reads = sessionOn({ ListNodes: () => ListNodesResponse.create(), Events: () => [] });
  await reads.session.read(ControlService.listNodes, ListRequest.create());
  await reads.events();
  assert.deepEqual(reads.names(), ['ListNodes', 'Events']);
});

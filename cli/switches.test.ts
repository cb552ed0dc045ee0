import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command } from 'commander';
import { withSwitches } from './switches.ts';

const update = new Command('update')
  .argument('<SERVICE>')
  .option('-t, --tty', 'a terminal')
  .option('--no-tty', 'none')
  .option('-d, --detach', 'no waiting')
  .option('--env-add <TEXT>', 'a variable');
const create = new Command('create')
  .argument('[words...]')
  .option('--tty', 'a terminal')
  .option('--no-tty', 'none');
const words = (command: Command, text: string) =>
  withSwitches(text.split(' '), 2, command).join(' ');

test('a switch is turned on and off by a word, wherever it stands', () => {
  assert.equal(words(update, 'service update --tty=false web'), 'service update --no-tty web');
  assert.equal(words(update, 'service update web --tty=0'), 'service update web --no-tty');
  assert.equal(words(update, 'service update --tty=TRUE web'), 'service update --tty web');
});

test('a switch that is off by itself is left out where it is turned off', () => {
  assert.equal(words(update, 'service update --detach=false web'), 'service update web');
  assert.equal(words(update, 'service update --detach=true web'), 'service update --detach web');
});

test('what is no switch, no such word or a value of another option stays as it is', () => {
  for (const text of [
    'service update --tty=maybe web',
    'service update --other=false web',
    'service update --env-add --tty=false web',
    'service update web -- --tty=false',
  ])
    assert.equal(words(update, text), text);
});

test("a task's own command is not touched", () => {
  assert.equal(
    words(create, 'service create --tty=false image run --tty=false'),
    'service create --no-tty image run --tty=false',
  );
});

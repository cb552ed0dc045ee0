import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NamespaceRemoval } from './namespace-removal.ts';
import type { Command, Outcome } from './netcmd.ts';

test('those that are asked for together go with one program', async () => {
  const kernel = new SlowKernel();
  const removal = new NamespaceRemoval(kernel);
  const removed = Promise.all([removal.remove('a'), removal.remove('b'), removal.remove('a')]);
  await kernel.next();
  await removed;
  assert.deepEqual(kernel.named, ['a b']);
});

test('what is asked for while a program runs goes with the next one', async () => {
  const kernel = new SlowKernel();
  const removal = new NamespaceRemoval(kernel);
  const first = removal.remove('a');
  const end = await kernel.begun();
  const others = Promise.all([removal.remove('b'), removal.remove('c')]);
  end();
  await first;
  await kernel.next();
  await others;
  assert.deepEqual(kernel.named, ['a', 'b c']);
});

test('it tells what the program said', async () => {
  const kernel = new SlowKernel();
  const removing = new NamespaceRemoval(kernel).remove('a');
  await kernel.next('Device or resource busy\n');
  assert.equal(await removing, 'Device or resource busy');
});

/** Programs that end when they are told to. */
class SlowKernel {
  readonly named: string[] = [];
  #begin: (end: (output: string) => void) => void = () => undefined;
  #begun: Promise<(output: string) => void> = this.#wait();

  run({ input }: Command): Promise<Outcome> {
    this.named.push(/for name in (.*); do/.exec(input)?.[1] ?? '');
    return new Promise((resolve) => {
      this.#begin((output) => resolve({ code: output === '' ? 0 : 1, output }));
    });
  }
  /** Resolves when a program was started, with what ends it. */
  async begun(): Promise<(output?: string) => void> {
    const end = await this.#begun;
    this.#begun = this.#wait();
    return (output = '') => end(output);
  }
  async next(output = ''): Promise<void> {
    (await this.begun())(output);
  }
  #wait(): Promise<(output: string) => void> {
    return new Promise((resolve) => {
      this.#begin = resolve;
    });
  }
}

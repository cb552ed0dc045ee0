import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AssignedTask, Assignments } from '../../proto/index.ts';
import { SecretBook } from './secret-book.ts';

const task = (id: string, password: string | undefined) => ({
  id,
  registryAuth: password === undefined ? null : { host: 'r.example', username: 'u', password },
});

test('a login is taken out of the orders, which keep a mark of it', () => {
  const book = new SecretBook();
  const orders = Assignments.create({ tasks: [task('a', 'secret'), task('b', undefined)] });
  const bare = book.takeOut(orders);
  const bytes = Buffer.concat(bare.tasks.map((each) => Buffer.from(AssignedTask.encode(each))));
  assert.ok(!bytes.includes('secret'));
  assert.deepEqual(
    bare.tasks.map((each) => each.registryAuth?.host),
    ['r.example', undefined],
  );
  assert.equal(book.of('a').registryAuth()?.password, 'secret');
  assert.equal(book.of('b').registryAuth(), undefined);
});

test('a login is forgotten with its task, and when a newer order has none', () => {
  const book = new SecretBook();
  book.takeOut(Assignments.create({ tasks: [task('a', 'x'), task('b', 'y')] }));
  book.takeOut(Assignments.create({ tasks: [task('a', undefined)] }));
  book.forget('b');
  assert.equal(book.of('a').registryAuth(), undefined);
  assert.equal(book.of('b').registryAuth(), undefined);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogDriver } from '../proto/index.ts';
import { isLogMistake, LOG_BOUNDS, logBounds } from './log-options.ts';

const bounds = (options: { [key: string]: string }, name = '') =>
  logBounds(LogDriver.create({ name, options }));

test('what is not said of a log is as without a driver', () => {
  assert.deepEqual(logBounds(null), LOG_BOUNDS);
  assert.deepEqual(bounds({}, 'json-file'), LOG_BOUNDS);
  assert.deepEqual(bounds({ 'max-size': '64k' }), { ...LOG_BOUNDS, fileBytes: 65_536 });
  assert.deepEqual(bounds({ 'max-size': '2m', 'max-file': '1' }, 'local'), {
    fileBytes: 2 << 20,
    files: 1,
  });
});

test('drivers and options that would change nothing are mistakes', () => {
  const cases: readonly [{ [key: string]: string }, string, string][] = [
    [{}, 'syslog', 'log_driver'],
    [{ tag: 'x' }, '', 'log_driver.tag'],
    [{ 'max-size': '-1' }, '', 'log_driver.max-size'],
    [{ 'max-size': '9g' }, '', 'log_driver.max-size'],
    [{ 'max-size': 'much' }, '', 'log_driver.max-size'],
    [{ 'max-file': '0' }, '', 'log_driver.max-file'],
    [{ 'max-file': '1.5' }, '', 'log_driver.max-file'],
  ];
  for (const [options, name, field] of cases) {
    const found = bounds(options, name);
    assert.equal(isLogMistake(found) && found.field, field);
  }
});

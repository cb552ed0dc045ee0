import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HealthCheck } from '../../proto/index.ts';
import { parseConfig } from '../../shared/distribution/documents.ts';
import { effectiveCheck } from './effective-check.ts';

function imageCheck(config: object) {
  return parseConfig(Buffer.from(JSON.stringify({ config }))).check;
}

const SECOND = 1_000_000_000;
const IMAGE = imageCheck({
  Healthcheck: {
    Test: ['CMD-SHELL', 'curl -f localhost'],
    Interval: 5 * SECOND,
    Timeout: 2 * SECOND,
    StartPeriod: 60 * SECOND,
    Retries: 7,
  },
});

describe('the check of a container', () => {
  it("is its image's where its service asks for none", () => {
    const check = effectiveCheck(null, IMAGE);
    assert.deepEqual(check?.cmd, ['CMD-SHELL', 'curl -f localhost']);
    const times = [check.intervalMs, check.timeoutMs, check.startPeriodMs, check.retries];
    assert.deepEqual(times, [5_000, 2_000, 60_000, 7]);
  });
  it('takes single fields from its service', () => {
    const check = effectiveCheck(HealthCheck.create({ intervalMs: 1_000, retries: 2 }), IMAGE);
    assert.deepEqual(check?.cmd, ['CMD-SHELL', 'curl -f localhost']);
    assert.deepEqual([check.intervalMs, check.timeoutMs, check.retries], [1_000, 2_000, 2]);
  });
  it("is its service's own where that names one, also the one that says none", () => {
    assert.deepEqual(effectiveCheck(HealthCheck.create({ cmd: ['NONE'] }), IMAGE)?.cmd, ['NONE']);
    const http = effectiveCheck(HealthCheck.create({ http: ':80/' }), IMAGE);
    assert.deepEqual([http?.http, http?.cmd], [':80/', []]);
  });
  it('runs its text in the shell that the image names', () => {
    const image = imageCheck({ Shell: ['/bin/bash', '-ec'] });
    const check = effectiveCheck(HealthCheck.create({ cmd: ['CMD-SHELL', 'a b'] }), image);
    assert.deepEqual(check?.cmd, ['CMD', '/bin/bash', '-ec', 'a b']);
  });
  it('is none where neither says one', () => {
    assert.equal(imageCheck({}), undefined);
    assert.equal(effectiveCheck(null, undefined), null);
    assert.deepEqual(effectiveCheck(null, imageCheck({ Shell: ['sh'] }))?.cmd, []);
  });
  it('of a broken image has no times that no timer takes', () => {
    const broken = imageCheck({ Healthcheck: { Test: 'x', Interval: 'soon', Timeout: -5 } });
    assert.deepEqual([broken?.test, broken?.intervalMs, broken?.timeoutMs], [[], 0, 0]);
    assert.throws(() => imageCheck({ Healthcheck: 'x' }), { code: 'IMAGE_INVALID' });
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStorage, SILENT } from './core/index.ts';
import { coreSettings } from './core-settings.ts';

test('pre-vote and quorum checks are on and leases off, whatever a member is given', () => {
  const own = {
    id: 1,
    storage: new MemoryStorage(),
    applied: 0,
    random: () => 0,
    trace: SILENT,
  };
  const unsafe = { preVote: false, checkQuorum: false, readOnly: 'lease' } as const;
  const forwarding = { disableProposalForwarding: false, disableConfChangeValidation: true };
  for (const given of [own, { ...own, ...unsafe, ...forwarding, asyncStorageWrites: false }]) {
    const settings = coreSettings(given);
    assert.deepEqual(
      [settings.preVote, settings.checkQuorum, settings.readOnly, settings.asyncStorageWrites],
      [true, true, 'safe', true],
    );
    assert.deepEqual(
      [settings.disableProposalForwarding, settings.disableConfChangeValidation],
      [true, false],
    );
  }
});

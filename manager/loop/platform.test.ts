import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ContainerSpec, NodeDescription } from '../../proto/index.ts';
import { platformsOf, wrongPlatform } from './platform.ts';

describe('the platform of an image', () => {
  const node = (architecture: string) => NodeDescription.create({ os: 'linux', architecture });

  it('fits nodes that run one of them, in their own words', () => {
    assert.equal(wrongPlatform(['linux/amd64'], node('x86_64')), '');
    assert.equal(wrongPlatform(['linux/arm64', 'linux/amd64'], node('x86_64')), '');
    assert.equal(wrongPlatform(['linux/386'], node('x86_64')), '');
    assert.equal(wrongPlatform(['linux/arm'], node('aarch64')), '');
  });
  it('fits no others, and says both', () => {
    assert.equal(
      wrongPlatform(['linux/arm64', 'windows/amd64'], node('x86_64')),
      'image is for linux/arm64, windows/amd64, not for linux/amd64',
    );
  });
  it('stands in nobody’s way while it is not known', () => {
    assert.equal(wrongPlatform([], node('x86_64')), '');
    assert.equal(wrongPlatform(['linux/arm64'], node('')), '');
    const imagePlatforms = ['linux/arm64'];
    assert.deepEqual(platformsOf(ContainerSpec.create({ imagePlatforms })), []);
    const pinned = ContainerSpec.create({ imagePlatforms, imageAsked: 'web:1' });
    assert.deepEqual(platformsOf(pinned), imagePlatforms);
  });
});

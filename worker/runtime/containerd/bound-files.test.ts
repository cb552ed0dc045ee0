import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hostsFile, resolvConf } from './bound-files.ts';

describe('what a container finds in /etc', () => {
  const nothing = { dns: [], dnsSearch: [], dnsOptions: [] };

  it('names servers of the host that a container reaches', () => {
    const host =
      '# made\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nsearch lan\noptions ndots:2\n';
    assert.equal(
      resolvConf(host, nothing, false),
      'nameserver 10.0.0.2\nsearch lan\noptions ndots:2\n',
    );
  });
  it('names what the service says instead', () => {
    const spec = { dns: ['9.9.9.9'], dnsSearch: ['.'], dnsOptions: ['use-vc'] };
    const host = 'nameserver 10.0.0.2\nsearch lan\n';
    assert.equal(resolvConf(host, spec, false), 'nameserver 9.9.9.9\noptions use-vc\n');
  });
  it('names the node itself where it answers for networks', () => {
    const host = 'nameserver 10.0.0.2\nsearch lan\n';
    const text = 'nameserver 127.0.0.11\nsearch lan\noptions ndots:0\n';
    assert.equal(resolvConf(host, { ...nothing, dns: ['9.9.9.9'] }, true), text);
  });
  it('names public servers where the host has none but itself', () => {
    assert.match(resolvConf('nameserver 127.0.0.1\n', nothing, false), /^nameserver 8\.8\.8\.8\n/);
  });
  it('knows itself and the hosts it was given, in both forms', () => {
    const place = { hostname: 'me', address: '198.18.0.2' };
    const text = hostsFile(['db:10.1.1.1', '10.1.1.2 cache', 'six:fd00::1'], place);
    assert.ok(text.endsWith('10.1.1.1\tdb\n10.1.1.2\tcache\nfd00::1\tsix\n198.18.0.2\tme\n'));
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Mount } from '../../proto/index.ts';
import { type BindPlaces, bindMounts } from './bind-mounts.ts';

const LINKS: { readonly [path: string]: string } = { '/srv/link': '/etc', '/var/run': '/run' };
const THERE = ['/', '/srv', '/srv/data', '/etc', '/run', '/run/swarm', '/run/c.sock', '/var/run'];

function places(made: string[] = []): BindPlaces {
  const io = {
    realPath: (path: string) => LINKS[path] ?? (THERE.includes(path) ? path : undefined),
    stat: (path: string) =>
      THERE.includes(path)
        ? { size: 0, mtimeMs: 0, uid: 0, mode: 0, directory: !path.endsWith('.sock') }
        : undefined,
    mkdir: (path: string) => void made.push(path),
  };
  const hidden = ['/run/swarm', '/run/c.sock'];
  return { io, roots: ['/srv'], hidden, recursiveReadOnly: true };
}
const bind = (source: string, options: object = {}, readOnly = false): Mount =>
  Mount.create({ type: 'bind', source, target: '/x', options: { ...options }, readOnly });

describe('a bind', () => {
  it('is made of what the node offers', () => {
    assert.deepEqual(bindMounts(bind('/srv/data'), places(), false), [
      {
        destination: '/x',
        type: 'bind',
        source: '/srv/data',
        options: ['rbind', 'rprivate', 'rw'],
      },
    ]);
    const [wished] = bindMounts(
      bind('/srv', { 'bind-propagation': 'rslave', 'bind-recursive': 'disabled' }, true),
      places(),
      false,
    );
    assert.deepEqual(wished!.options, ['bind', 'rslave', 'ro']);
    const [all] = bindMounts(bind('/srv', {}, true), places(), false);
    assert.deepEqual(all!.options, ['rbind', 'rprivate', 'ro', 'rro']);
  });
  it('of anything else needs access to hosts, also when a link leads there', () => {
    for (const source of ['/etc', '/srv/link', '/srv/../etc', '/srvx'])
      assert.throws(
        () => bindMounts(bind(source), places(), false),
        { code: 'NOT_ALLOWED' },
        source,
      );
    assert.equal(bindMounts(bind('/srv/link'), places(), true)[0]!.source, '/etc');
  });
  it('never shows keys and sockets of the node', () => {
    for (const source of ['/run/swarm', '/run/c.sock'])
      assert.throws(() => bindMounts(bind(source), places(), true), /never bound/);
    const [, ...covers] = bindMounts(bind('/var/run'), places(), true);
    assert.deepEqual(
      covers.map(({ destination, type, source }) => [destination, type, source]),
      [
        ['/x/swarm', 'tmpfs', 'tmpfs'],
        ['/x/c.sock', 'bind', '/dev/null'],
      ],
    );
    const flat = bind('/run', { 'bind-recursive': 'disabled' });
    assert.throws(() => bindMounts(flat, places(), true), { code: 'NOT_ALLOWED' });
  });
  it('of what is not there is made only where that is asked for', () => {
    const made: string[] = [];
    assert.throws(() => bindMounts(bind('/srv/new'), places(made), false), /no \/srv\/new/);
    assert.deepEqual(made, []);
    bindMounts(bind('/srv/new', { 'bind-create-src': 'true' }), places(made), false);
    assert.deepEqual(made, ['/srv/new']);
    const elsewhere = bind('/etc/new', { 'bind-create-src': 'true' });
    assert.throws(() => bindMounts(elsewhere, places(made), false), { code: 'NOT_ALLOWED' });
  });
  it('has no options but its own', () => {
    const wrong = [
      { 'volume-nocopy': 'true' },
      { 'bind-propagation': 'up' },
      { 'bind-recursive': 'x' },
    ];
    for (const options of wrong)
      assert.throws(() => bindMounts(bind('/srv', options), places(), false), {
        code: 'INVALID_SPEC',
      });
  });
});

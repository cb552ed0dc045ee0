import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Protocol, PublishMode } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { formatBytes, parseBytes } from './bytes.ts';
import { formatDurationMs, parseDurationMs, parseShortDurationMs } from './duration.ts';
import { mergeEnv, parseEnv, parseEnvFile } from './env.ts';
import { parseFilters } from './filter.ts';
import { parseFields, parseLabel, parseLabels } from './key-value.ts';
import { parseMount } from './mount.ts';
import { parseNetwork } from './network.ts';
import { parseBoolean, parseNanoCpus, parseRatio, parseWhole } from './number.ts';
import { parsePorts, parseTargetPort } from './port.ts';
import { splitShellWords } from './shell-words.ts';
import { readToken } from './token.ts';
import { parseUlimit } from './ulimit.ts';
import { parseWord } from './words.ts';

/** Refused with INVALID_ARGUMENT and a message that names the flag. */
function refused(flag: string, act: () => unknown): void {
  assert.throws(act, (error: unknown) => {
    assert.ok(SwarmError.is(error));
    assert.equal(error.code, 'INVALID_ARGUMENT');
    assert.ok(error.message.includes(flag), error.message);
    return true;
  });
}

test('durations are read as Go reads them', () => {
  const read = (text: string) => parseDurationMs('--x', text);
  assert.equal(read('1h2m3s500ms'), 3_723_500);
  assert.equal(read('1.5s'), 1_500);
  assert.equal(read('0'), 0);
  assert.equal(read('0s'), 0);
  assert.equal(read('.5m'), 30_000);
  assert.equal(read('250us'), 1);
  for (const text of ['', '10', 's', '1d', '-1s', '1s 2m', '1s2']) refused('--x', () => read(text));
});

test('a duration beyond 32 bits of milliseconds is refused where the field has no more', () => {
  assert.equal(parseShortDurationMs('--x', '1193h'), 1193 * 3_600_000);
  refused('--x', () => parseShortDurationMs('--x', '2000h'));
});

test('durations are printed so that they can be read again', () => {
  for (const ms of [0, 1, 999, 1_000, 1_500, 61_000, 90_000, 3_600_000, 3_723_500])
    assert.equal(parseDurationMs('--x', formatDurationMs(ms)), ms);
  assert.equal(formatDurationMs(90_000), '1m30s');
});

test('sizes are powers of 1024, a bare number is bytes', () => {
  const read = (text: string) => parseBytes('--limit-memory', text);
  assert.equal(read('10m'), 10 << 20);
  assert.equal(read('1g'), 1 << 30);
  assert.equal(read('1.5GiB'), 1.5 * 2 ** 30);
  assert.equal(read('512kb'), 512 << 10);
  assert.equal(read('4096'), 4096);
  for (const text of ['', 'm', '-1m', '1x', '1mm']) refused('--limit-memory', () => read(text));
  assert.equal(formatBytes(1.5 * 2 ** 30), '1.5GiB');
});

test('numbers are read whole and within their range', () => {
  assert.equal(parseWhole('--replicas', '3'), 3);
  assert.equal(parseWhole('--oom', '-5', -1000, 1000), -5);
  for (const text of ['', '1.5', 'x', '-1', '1e3', '99999999999'])
    refused('--replicas', () => parseWhole('--replicas', text));
  assert.equal(parseNanoCpus('--limit-cpu', '0.5'), 500_000_000);
  assert.equal(parseNanoCpus('--limit-cpu', '.001'), 1_000_000);
  refused('--limit-cpu', () => parseNanoCpus('--limit-cpu', 'half'));
  assert.equal(parseRatio('--r', '0.25'), 0.25);
  refused('--r', () => parseRatio('--r', '1.1'));
  assert.equal(parseBoolean('--b', 'True'), true);
  refused('--b', () => parseBoolean('--b', 'yes'));
});

test('a word outside its set is refused with the whole set', () => {
  refused('a, b or c', () => parseWord('--w', 'd', { a: 1, b: 2, c: 3 }));
  refused('--w', () => parseWord('--w', 'toString', { a: 1, b: 2 }));
});

test('a short port has a range, a protocol and an address when they are given', () => {
  const tcp = { protocol: Protocol.TCP, mode: PublishMode.INGRESS };
  assert.deepEqual(parsePorts('-p', '8080:80'), [{ ...tcp, target: 80, published: 8080 }]);
  assert.deepEqual(parsePorts('-p', '80'), [{ ...tcp, target: 80, published: 0 }]);
  assert.deepEqual(parsePorts('-p', '53:53/udp'), [
    { protocol: Protocol.UDP, mode: PublishMode.INGRESS, target: 53, published: 53 },
  ]);
  assert.deepEqual(parsePorts('-p', '8000-8001:80-81'), [
    { ...tcp, target: 80, published: 8000 },
    { ...tcp, target: 81, published: 8001 },
  ]);
  assert.deepEqual(parsePorts('-p', '127.0.0.1:8080:80'), [
    { ...tcp, target: 80, published: 8080, bind: '127.0.0.1' },
  ]);
  assert.deepEqual(parsePorts('-p', '[::1]:8080:80/tcp')[0]!.bind, '::1');
  assert.deepEqual(parsePorts('-p', 'eth1:8080:80')[0]!.bind, 'eth1');
  assert.deepEqual(parsePorts('-p', 'node.labels.net/up-link:53:53/udp')[0], {
    protocol: Protocol.UDP,
    mode: PublishMode.INGRESS,
    target: 53,
    published: 53,
    bind: 'node.labels.net/up-link',
  });
});

test('a wrong short port is refused', () => {
  const wrong = ['', 'web', '0:80', '8080:0', '70000:80', '8000-8002:80-81', '8001-8000:80-81'];
  for (const text of [...wrong, '8080:80/sctp', '300.1.1.1:80:80', '1:2:3', 'a/b:80:80'])
    refused('--publish', () => parsePorts('--publish', text));
});

test('a long port takes its fields in any order', () => {
  assert.deepEqual(
    parsePorts('-p', 'target=80,published=8080,mode=host,protocol=udp,proxy-protocol=v2'),
    [
      {
        protocol: Protocol.UDP,
        mode: PublishMode.HOST,
        published: 8080,
        target: 80,
        proxyProtocolV2: true,
      },
    ],
  );
  refused('target', () => parsePorts('--publish', 'published=8080'));
  refused('--publish', () => parsePorts('--publish', 'target=80,speed=9'));
  refused('--publish', () => parsePorts('--publish', 'target=80,proxy-protocol=v1'));
});

test('what --publish-rm takes is a target port', () => {
  assert.deepEqual(parseTargetPort('--publish-rm', '80'), { target: 80, protocol: undefined });
  assert.deepEqual(parseTargetPort('--publish-rm', '53/udp'), {
    target: 53,
    protocol: Protocol.UDP,
  });
  refused('--publish-rm', () => parseTargetPort('--publish-rm', 'web'));
});

test('--env takes a value from the caller when only a name is given', () => {
  const caller = { HOME: '/home/me' };
  assert.equal(parseEnv('-e', 'A=b=c', caller), 'A=b=c');
  assert.equal(parseEnv('-e', 'A=', caller), 'A=');
  assert.equal(parseEnv('-e', 'HOME', caller), 'HOME=/home/me');
  assert.equal(parseEnv('-e', 'NOT_THERE', caller), undefined);
  refused('-e', () => parseEnv('-e', '=x', caller));
});

test('an env file has a variable a line, comments and empty lines', () => {
  const text = '\uFEFF# a comment\n\nA=1\r\n  B=two words\nHOME\nGONE\n';
  assert.deepEqual(parseEnvFile('f', text, { HOME: '/h' }), ['A=1', 'B=two words', 'HOME=/h']);
  refused('f, line 2', () => parseEnvFile('f', 'A=1\nno good=1\n', {}));
});

test('a later variable takes the place of the earlier one', () => {
  assert.deepEqual(mergeEnv(['A=1', 'B=2'], ['A=3', 'C=4']), ['A=3', 'B=2', 'C=4']);
});

test('labels keep everything after the first equals sign', () => {
  assert.deepEqual(parseLabel('-l', 'a=b=c'), ['a', 'b=c']);
  assert.deepEqual(parseLabels('-l', ['a=1', 'b', 'a=2']), { a: '2', b: '' });
  refused('-l', () => parseLabel('-l', '=x'));
});

test('fields keep a comma within quotes', () => {
  assert.deepEqual(parseFields('--m', 'type=bind,"source=/a,b",ro'), [
    ['type', 'bind'],
    ['source', '/a,b'],
    ['ro', ''],
  ]);
  refused('--m', () => parseFields('--m', 'a="b'));
});

test('mounts need a target', () => {
  assert.deepEqual(parseMount('--mount', 'type=bind,src=/a,dst=/b,ro'), {
    type: 'bind',
    source: '/a',
    target: '/b',
    readOnly: true,
    options: {},
  });
  assert.deepEqual(parseMount('--mount', 'dst=/d,volume-opt=k=v').options, { 'volume-opt:k': 'v' });
  const tmpfs = parseMount('--mount', 'type=tmpfs,target=/t,tmpfs-size=1.5m,tmpfs-mode=1770');
  assert.deepEqual(tmpfs.options, { 'tmpfs-size': '1572864', 'tmpfs-mode': '1770' });
  refused('--mount', () => parseMount('--mount', 'type=tmpfs,target=/t,tmpfs-size=much'));
  refused('target', () => parseMount('--mount', 'type=tmpfs'));
  refused('--mount', () => parseMount('--mount', 'target=/x,colour=red'));
});

test('networks have a short and a long form', () => {
  assert.deepEqual(parseNetwork('--network', 'net'), { target: 'net' });
  assert.deepEqual(parseNetwork('--network', 'name=net,alias=a,alias=b,driver-opt=k=v'), {
    target: 'net',
    aliases: ['a', 'b'],
    driverOptions: { k: 'v' },
  });
  refused('--network', () => parseNetwork('--network', 'alias=a'));
});

test('ulimits have a soft limit of at most the hard one', () => {
  assert.deepEqual(parseUlimit('-u', 'nofile=1:2'), { name: 'nofile', soft: 1, hard: 2 });
  assert.deepEqual(parseUlimit('-u', 'core=-1'), { name: 'core', soft: -1, hard: -1 });
  refused('-u', () => parseUlimit('-u', 'nofile=3:2'));
  refused('-u', () => parseUlimit('-u', 'nofile'));
});

test('shell words keep what quotes and backslashes protect', () => {
  assert.deepEqual(splitShellWords('--args', `a 'b c' "d \\" e" f\\ g ''`), [
    'a',
    'b c',
    'd " e',
    'f g',
    '',
  ]);
  refused('--args', () => splitShellWords('--args', `a 'b`));
});

test('filters are refused by key', () => {
  assert.deepEqual(parseFilters(['name=a=b'], ['name']), [{ key: 'name', value: 'a=b' }]);
  refused('--filter', () => parseFilters(['colour=red'], ['name', 'id']));
  refused('--filter', () => parseFilters(['name'], ['name']));
});

const TOKEN = `SWMTKN-1-${'a'.repeat(50)}-${'b'.repeat(25)}`;
const sources = {
  readFile: async (path: string) => {
    if (path === 'token') return `${TOKEN}\n`;
    throw Object.assign(new Error(TOKEN), { code: 'ENOENT' });
  },
  readStdin: async () => ` ${TOKEN}\n`,
};

test('a token comes as text, from a file or from standard input', async () => {
  for (const given of [TOKEN, '@token', '-']) assert.equal(await readToken(given, sources), TOKEN);
});

test('no error about a token shows the token', async () => {
  for (const given of [`${TOKEN.slice(8)}`, '@missing']) {
    await assert.rejects(readToken(given, sources), (error: unknown) => {
      assert.ok(SwarmError.is(error));
      assert.ok(!`${error.message} ${error.advice}`.includes('aaaa'));
      return true;
    });
  }
});

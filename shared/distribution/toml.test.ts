import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseToml } from './toml.ts';

function plain(text: string): unknown {
  return JSON.parse(JSON.stringify(parseToml(text)));
}

describe('a configuration of registries', () => {
  it('is read as containerd writes it', () => {
    const text = `# who serves docker.io
server = "https://registry-1.docker.io"  # at last

[host."https://mirror.example:5000"]
  capabilities = ["pull",
    'resolve', # both
  ]
  skip_verify = true
  client = [["a.cert", "a.key"], ["b.pem", ""]]
  [host."https://mirror.example:5000".header]
    x-key = "a\\tb\\u0041"
`;
    assert.deepEqual(plain(text), {
      server: 'https://registry-1.docker.io',
      host: {
        'https://mirror.example:5000': {
          capabilities: ['pull', 'resolve'],
          skip_verify: true,
          client: [
            ['a.cert', 'a.key'],
            ['b.pem', ''],
          ],
          header: { 'x-key': 'a\tbA' },
        },
      },
    });
  });
  it('may name its keys as it likes', () => {
    assert.deepEqual(plain("a.'b c'.d = 1_000\r\n__proto__ = -3\n"), {
      a: { 'b c': { d: 1000 } },
      ['__proto__']: -3,
    });
    assert.equal(({} as { d?: number }).d, undefined);
  });
  it('is refused with its line when it is none', () => {
    const cases: readonly [string, RegExp][] = [
      ['a = 1\nb', /line 2: = is missing/],
      ['a = ', /line 1: "" is no value/],
      ['a = "x', /line 1: "" is no value/],
      ['a = 1 b = 2', /line 1: more stands/],
      ['a = 1\na = 2', /line 2: a is given twice/],
      ['a = 1\n[a.b]', /line 2: a is no table/],
      ['[[a]]', /line 1: an array of tables/],
      ['[a', /line 1: \] is missing/],
      ['a = [1 2]', /line 1: , is missing/],
      ['a = "\\q"', /line 1: \\q means nothing/],
      ['= 1', /line 1: a key is missing/],
    ];
    for (const [text, message] of cases) assert.throws(() => parseToml(text), message, text);
  });
});

/** Multipart bodies through real sockets: checked for names, number, size and types while they pass, files not held. */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { ConfigurationError } from '../../src/main.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const UPLOADS = fileURLToPath(new URL('documents/uploads.yaml', import.meta.url));

interface Seen {
  bytes: number;
  /** The service had all of it. */
  whole: boolean;
  text: string;
  length: string | undefined;
}

async function gatewayWith(test: Scope, route: object): Promise<TestGateway & { readonly seen: Seen[] }> {
  const seen: Seen[] = [];
  const upstream = await httpUpstream(test, (request, response) => {
    const one: Seen = { bytes: 0, whole: false, text: '', length: request.headers['content-length'] };
    seen.push(one);
    request.on('error', () => {});
    request.on('data', (bytes: Buffer) => {
      one.bytes += bytes.length;
      if (one.text.length < 10_000) one.text += bytes.toString('latin1');
    });
    request.on('end', () => {
      one.whole = true;
      response.end('ok');
    });
  });
  const started = await startTestGateway(test, {
    gateway: { maxRequestSize: '500mb' },
    services: { files: { instances: [{ url: upstream.url }] } },
    routes: [{ match: { path: '/v1/*' }, service: 'files', auth: 'public', ...route }],
  });
  return Object.assign(started, { seen });
}

const RULES = {
  multipart: {
    parts: {
      title: { schema: { type: 'string', minLength: 2 }, required: true },
      count: { schema: { type: 'integer', maximum: 9 } },
      tags: { schema: { type: 'array', maxItems: 2, items: { enum: ['a', 'b'] } } },
      meta: { schema: { type: 'object', required: ['x'] } },
      avatar: { file: true, types: ['image/*'], extensions: ['.png', '.jpg'], maxSize: 1_000 },
      papers: { file: true, max: 2, maxSize: '300mb' },
    },
  },
};

function form(fields: readonly (readonly [name: string, value: string | Blob, fileName?: string])[]): FormData {
  const data = new FormData();
  for (const [name, value, fileName] of fields)
    if (typeof value === 'string') data.append(name, value);
    else data.append(name, value, fileName);
  return data;
}

const png = (size: number, type = 'image/png') => new Blob([Buffer.alloc(size, 'x')], { type });
const TITLE = ['title', 'hello'] as const;

async function sent(url: string, body: FormData): Promise<string> {
  const response = await fetch(url, { method: 'POST', body });
  if (response.status === 200) return '200';
  const { errors = [], detail = '' } = (await response.json()) as {
    detail?: string;
    errors?: { field: string; value?: unknown; expected: string }[];
  };
  const said = errors.map(
    ({ field, value, expected }) => `${field}${value === undefined ? '' : ` ${value}`}: ${expected}`,
  );
  return `${response.status} ${said.join('; ') || detail}`;
}

describe('validate.multipart', () => {
  test('a right body passes byte for byte, with its length', async (t) => {
    const gateway = await gatewayWith(t, { validate: RULES });
    const all = form([
      TITLE,
      ['count', '7'],
      ['tags', 'a'],
      ['tags', 'b'],
      ['meta', '{"x":1}'],
      ['avatar', png(900), 'Me.PNG'],
      ['papers', new Blob(['one'])],
      ['papers', new Blob(['two']), 'b.txt'],
    ]);
    assert.equal(await sent(`${gateway.url}/v1/a`, all), '200');
    const [one] = gateway.seen;
    assert.equal(one!.length, String(one!.bytes));
    assert.match(one!.text, /name="papers"; filename="b.txt"\r\n.*\r\n\r\ntwo\r\n--[^\r]+--\r\n$/s);
  });

  const WRONG: readonly (readonly [what: string, fields: Parameters<typeof form>[0], expected: string])[] = [
    ['a missing part', [['count', '1']], '400 form.title: required'],
    ['a field that is too short', [['title', 'h']], '400 form.title h: at least 2 characters'],
    ['a field that is no number', [TITLE, ['count', 'x']], '400 form.count x: a whole number'],
    ['a field twice', [TITLE, TITLE], '400 form.title: given once'],
    [
      'a list that is too long',
      [TITLE, ['tags', 'a'], ['tags', 'b'], ['tags', 'a']],
      '400 form.tags a list: at most 2 items',
    ],
    ['a wrong item', [TITLE, ['tags', 'c']], '400 form.tags/0 c: one of "a", "b"'],
    ['a field that is no JSON', [TITLE, ['meta', '{']], '400 form.meta: a JSON text'],
    ['JSON that does not fit', [TITLE, ['meta', '{}']], '400 form.meta/x: required'],
    ['a file in place of a field', [['title', png(1), 'a.png']], '400 form.title a.png: a field and no file'],
    ['a field in place of a file', [TITLE, ['avatar', 'x']], '400 form.avatar: a file'],
    ['an unknown part', [TITLE, ['other', 'x']], '400 form.other: no such part'],
    [
      'a wrong type',
      [TITLE, ['avatar', png(1, 'text/html'), 'a.png']],
      '400 form.avatar text/html: a file of type image/*',
    ],
    [
      'a wrong ending',
      [TITLE, ['avatar', png(1), 'a.png.exe']],
      '400 form.avatar a.png.exe: a name that ends with .png or .jpg',
    ],
    [
      'a way out of a folder',
      [TITLE, ['avatar', png(1), '../a.png']],
      '400 form.avatar ../a.png: a file name without folders',
    ],
    [
      'a file that is too large',
      [TITLE, ['avatar', png(1_001), 'a.png']],
      '413 the part "avatar" has at most 1000 bytes',
    ],
    [
      'too many files',
      [TITLE, ['papers', png(1)], ['papers', png(1)], ['papers', png(1)]],
      '400 form.papers: at most 2',
    ],
  ];
  test('a wrong one is refused with the part, its value and what is expected; no service has it whole', async (t) => {
    const gateway = await gatewayWith(t, { validate: RULES });
    for (const [what, fields, expected] of WRONG)
      assert.equal(await sent(`${gateway.url}/v1/a`, form(fields)), expected, what);
    assert.deepEqual(
      gateway.seen.filter(({ whole }) => whole),
      [],
    );
  });

  test('what is no multipart body, another type and a packed one are refused', async (t) => {
    const gateway = await gatewayWith(t, { validate: RULES });
    const post = async (body: string | Buffer, headers: Record<string, string>): Promise<string> => {
      const response = await fetch(`${gateway.url}/v1/a`, {
        method: 'POST',
        body: new Uint8Array(Buffer.from(body)),
        headers,
      });
      const { errors } = (await response.json()) as { errors?: { expected: string }[] };
      return `${response.status} ${errors?.[0]?.expected ?? ''}`;
    };
    const type = 'multipart/form-data; boundary=B';
    const part = '--B\r\nContent-Disposition: form-data; name="title"\r\n\r\nhello\r\n--B--';
    assert.equal(
      await post(part, { 'Content-Type': 'multipart/form-data' }),
      '400 multipart/form-data with one boundary of 1 to 70 characters',
    );
    assert.equal(await post(`x${part}`, { 'Content-Type': type }), '400 a body that begins with its boundary');
    assert.equal(await post(part.slice(0, -2), { 'Content-Type': type }), '400 a closing boundary at the end');
    assert.equal(await post('{}', { 'Content-Type': 'application/json' }), '415 ');
    assert.equal(await post(gzipSync(part), { 'Content-Type': type, 'Content-Encoding': 'gzip' }), '415 ');
    assert.equal(await post('', { 'Content-Type': type }), '400 required');
    assert.deepEqual(
      gateway.seen.filter(({ whole }) => whole),
      [],
    );
  });

  test('all fields together are bounded by maxBodySize, all parts by maxParts', async (t) => {
    const gateway = await gatewayWith(t, {
      validate: { multipart: { parts: {}, unknownParts: 'pass', maxParts: 3 }, maxBodySize: 100 },
    });
    const url = `${gateway.url}/v1/a`;
    assert.equal(
      await sent(
        url,
        form([
          ['a', 'x'.repeat(50)],
          ['f', png(100_000)],
          ['c', 'x'.repeat(50)],
        ]),
      ),
      '200',
    );
    assert.equal(
      await sent(
        url,
        form([
          ['a', 'x'.repeat(50)],
          ['b', 'x'.repeat(51)],
        ]),
      ),
      '413 all fields together have at most 100 bytes',
    );
    assert.equal(
      await sent(
        url,
        form([
          ['a', ''],
          ['b', ''],
          ['c', ''],
          ['d', ''],
        ]),
      ),
      '400 body: at most 3 parts',
    );
  });

  test('byte by byte, and in chunks', async (t) => {
    const gateway = await gatewayWith(t, { validate: RULES });
    const body = '--B\r\nContent-Disposition: form-data; name="title"\r\n\r\nhello\r\n--B--\r\n';
    const head = 'POST /v1/a HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=B\r\n';
    const caller = new RawCaller(gateway.port);
    t.after(() => caller.close());
    const whole = `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
    await caller.sendSplit(
      whole,
      Array.from({ length: whole.length - 1 }, (_, i) => i + 1),
    );
    assert.equal((await caller.answer()).status, 200);
    const chunks = [...body].map((char) => `1\r\n${char}\r\n`).join('');
    caller.send(`${head}Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`);
    assert.equal((await caller.answer()).status, 200);
    assert.deepEqual(
      gateway.seen.map(({ text }) => text),
      [body, body],
    );
  });

  test('of a large file the service has the beginning before the client has sent the end, and no more than that is held', async (t) => {
    const gateway = await gatewayWith(t, { validate: RULES });
    const upload = httpRequest(`${gateway.url}/v1/a`, {
      method: 'POST',
      headers: { 'Content-Type': 'multipart/form-data; boundary=B' },
    });
    const status = new Promise<number>((resolve, reject) => {
      upload.on('response', (response) => resolve(response.resume().statusCode ?? 0));
      upload.on('error', reject);
    });
    const disposition = 'Content-Disposition: form-data';
    upload.write(
      `--B\r\n${disposition}; name="title"\r\n\r\nhello\r\n--B\r\n${disposition}; name="papers"; filename="a"\r\n\r\n`,
    );
    const piece = Buffer.alloc(1024 ** 2, 'x');
    for (let i = 0; i < 200; i++) await new Promise<void>((resolve) => upload.write(piece, () => resolve()));
    await until(() => (gateway.seen[0]?.bytes ?? 0) > 190 * piece.length, 'the service has the beginning', 60_000);
    assert.equal(gateway.seen[0]!.whole, false);
    upload.end('\r\n--B--\r\n');
    assert.equal(await status, 200);
    assert.equal(gateway.seen[0]!.whole, true);
  });

  test('a file that becomes too large on the way is 413, and its service has no whole request', async (t) => {
    const gateway = await gatewayWith(t, {
      validate: { multipart: { parts: { f: { file: true, maxSize: '2mb' } } } },
    });
    assert.equal(
      await sent(`${gateway.url}/v1/a`, form([['f', png(3_000_000)]])),
      '413 the part "f" has at most 2097152 bytes',
    );
    assert.deepEqual(
      gateway.seen.filter(({ whole }) => whole),
      [],
    );
    assert.equal(await sent(`${gateway.url}/v1/a`, form([['f', png(2_000_000)]])), '200');
  });

  test('mode: report lets it pass', async (t) => {
    const gateway = await gatewayWith(t, { validate: { ...RULES, mode: 'report' } });
    assert.equal(await sent(`${gateway.url}/v1/a`, form([['other', png(100_000)]])), '200');
    assert.equal(gateway.seen[0]!.whole, true);
  });

  test('behind decompression the unpacked body is checked', async (t) => {
    const gateway = await gatewayWith(t, { validate: RULES, decompression: {} });
    const post = (title: string) =>
      fetch(`${gateway.url}/v1/a`, {
        method: 'POST',
        headers: { 'Content-Type': 'multipart/form-data; boundary=B', 'Content-Encoding': 'gzip' },
        body: new Uint8Array(gzipSync(`--B\r\nContent-Disposition: form-data; name="title"\r\n\r\n${title}\r\n--B--`)),
      });
    assert.equal((await post('hello')).status, 200);
    assert.equal((await post('h')).status, 400);
    assert.match(gateway.seen[0]!.text, /hello/);
  });

  test('rules that contradict themselves stop the start', async (t) => {
    const refused = async (part: object): Promise<string> => {
      const error = await gatewayWith(t, { validate: { multipart: { parts: { a: part } } } }).catch((e: unknown) => e);
      assert.ok(error instanceof ConfigurationError, String(error));
      return error.message;
    };
    assert.match(await refused({ file: true, schema: true }), /multipart\.parts\.a\.schema: is for fields/);
    assert.match(await refused({ types: ['image/*'] }), /multipart\.parts\.a\.types: is for files/);
    assert.match(await refused({ schema: { typo: 1 } }), /multipart\.parts\.a\.schema\.typo: the keyword/);
  });
});

describe('openapi: multipart bodies', () => {
  test('parts, files, encodings, lists and JSON as the document has them', async (t) => {
    const gateway = await gatewayWith(t, { openapi: UPLOADS });
    const url = `${gateway.url}/v1/old`;
    const good: Parameters<typeof form>[0] = [
      ['name', 'ada'],
      ['photo', png(10), 'a.png'],
    ];
    const pdf = () => ['pages', png(3, 'application/pdf'), 'a.pdf'] as const;
    assert.equal(
      await sent(url, form([...good, pdf(), pdf(), ['tags', '1'], ['meta', '{"x":1}'], ['points', '{"y":1}']])),
      '200',
    );
    const wrong = [
      [[good[0]!], '400 form.photo: required'],
      [[good[1]!], '400 form.name: required'],
      [[['name', 'too long'], good[1]!], '400 form.name too long: at most 5 characters'],
      [
        [good[0]!, ['photo', png(1, 'image/gif'), 'a']],
        '400 form.photo image/gif: a file of type image/png or image/jpeg',
      ],
      [[...good, pdf(), pdf(), pdf()], '400 form.pages: at most 2'],
      [[...good, ['pages', png(1), 'a']], '400 form.pages image/png: a file of type application/pdf'],
      [[...good, ['tags', 'x']], '400 form.tags/0 x: a whole number'],
      [[...good, ['meta', '{}']], '400 form.meta/x: required'],
      [[...good, ['points', '{"y":1}'], ['points', '{}']], '400 form.points/y: required'],
      [[...good, ['more', '1']], '400 form.more: no such part'],
    ] as const;
    for (const [fields, expected] of wrong) assert.equal(await sent(url, form(fields)), expected);
  });
});

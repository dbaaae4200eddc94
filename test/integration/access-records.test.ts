/** Access records in the operator's form: fields, formats, samples, what is hidden, and files that are moved away. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, renameSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { END_HEADERS, END_STREAM, HEADERS } from '../../src/data/http2/frames.ts';
import { startTestGateway } from '../support/gateway.ts';
import { block, frame, get, Http2Peer } from '../support/http2-peer.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const OWN_KEY = { key: 'key-of-ada-0123456789', subject: 'ada' };

async function scene(
  t: Parameters<typeof startTestGateway>[0],
  accessRecords: object | undefined,
  more: object[] = [],
) {
  const folder = await mkdtemp(join(tmpdir(), 'gh-log-'));
  const file = join(folder, 'access.log');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const upstream = await httpUpstream(t, (request, response) => {
    response.writeHead(request.url?.startsWith('/bad') ? 500 : 200).end('four');
  });
  const env = { JWT_SECRET: 'a-secret-of-more-than-thirty-two-bytes-0123' };
  const document = {
    gateway: {
      accessLog: { file },
      limits: { maxTargetSize: 1_000 },
      ...(accessRecords === undefined ? {} : { accessRecords }),
    },
    services: { a: { instances: [{ url: upstream.url }] } },
    routes: [{ name: 'all', match: { path: '/*' }, service: 'a', auth: 'public' }, ...more],
  };
  const gateway = await startTestGateway(t, document, env);
  const get = async (path: string, headers: Record<string, string> = {}): Promise<void> =>
    void (await (await fetch(gateway.url + path, { headers })).text());
  const lines = (count: number): Promise<string[]> =>
    until(() => readFileSync(file, 'utf8').split('\n').length > count, `${count} lines`, 10_000).then(() =>
      readFileSync(file, 'utf8').trimEnd().split('\n'),
    );
  return { folder, file, gateway, get, lines };
}

describe('access records', () => {
  it('have the fields that were chosen, in their order, and no secret', async (t) => {
    const { get, lines } = await scene(t, {
      fields: ['status', 'path', 'query', 'header:X-Tenant', 'header:authorization', 'route', 'bytes_out'],
      redact: { names: ['pin'], patterns: ['[0-9]{16}'] },
    });
    await get('/a/4111111111111111?token=abc&x=1&PIN=7&%74oken=y', {
      'x-tenant': 'one "two"',
      authorization: 'Bearer x',
    });
    const [line = ''] = await lines(1);
    assert.equal(
      line,
      '{"status":200,"path":"/a/***","query":"token=***&x=1&PIN=***&%74oken=***","header_x_tenant":"one \\"two\\"","header_authorization":"***","route":"all","bytes_out":4}',
    );
  });

  it('hide the same in URLs of header fields, and names in every form that services read', async (t) => {
    const { get, lines } = await scene(t, {
      fields: ['query', 'referer', 'header:X-Original-URL'],
      redact: { names: ['pin'] },
    });
    await get('/?a=1;token=b&user[password]=c&PIN[]=d&login.%73ecret=e&pinned=f&token', {
      referer: 'https://app.example/reset?token=g&next=/?code=h#access_token=i&x=j',
      'x-original-url': '/k?pin=l',
    });
    const [line = ''] = await lines(1);
    assert.deepEqual(JSON.parse(line), {
      query: 'a=1;token=***&user[password]=***&PIN[]=***&login.%73ecret=***&pinned=f&token',
      referer: 'https://app.example/reset?token=***&next=/?code=***#access_token=***&x=j',
      header_x_original_url: '/k?pin=***',
    });
    const combined = await scene(t, { format: 'combined' });
    await combined.get('/', { referer: 'https://app.example/reset?token=g' });
    assert.match((await combined.lines(1))[0] ?? '', / "https:\/\/app\.example\/reset\?token=\*\*\*" /);
  });

  it('hide what holds credentials by the configuration, on any level', async (t) => {
    const { get, lines } = await scene(
      t,
      { fields: ['query', 'header:X-Pass', 'header:X-Own-Token', 'header:X-Other'] },
      [
        { match: { path: '/k' }, service: 'a', auth: { apiKey: { header: 'X-Pass', query: 'pass', keys: [OWN_KEY] } } },
        {
          match: { path: '/t' },
          service: 'a',
          auth: { jwt: { from: [{ header: 'X-Own-Token' }] }, tickets: { parameter: 'entry' } },
        },
      ],
    );
    await get('/a?pass=1&Entry=2&ticket=3&other=4', { 'x-pass': '5', 'x-own-token': '6', 'x-other': '7' });
    assert.equal(
      (await lines(1))[0],
      '{"query":"pass=***&Entry=***&ticket=***&other=4","header_x_pass":"***","header_x_own_token":"***","header_x_other":"7"}',
    );
  });

  it('are logfmt, or what Apache writes, which no value can break out of', async (t) => {
    const logfmt = await scene(t, { format: 'logfmt', fields: ['method', 'path', 'status', 'user_agent'] });
    await logfmt.get('/x?y=1', { 'user-agent': 'a "b" c=d' });
    assert.deepEqual(await logfmt.lines(1), ['method=GET path=/x status=200 user_agent="a \\"b\\" c=d"']);
    const combined = await scene(t, { format: 'combined', fields: ['query'] });
    await combined.get('/x?y=1&key=s', { 'user-agent': 'a"\\é', referer: 'https://a.example/?token' });
    assert.match(
      (await combined.lines(1))[0] ?? '',
      /^127\.0\.0\.1 - - \[\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET \/x\?y=1&key=\*\*\* HTTP\/1\.1" 200 4 "https:\/\/a\.example\/\?token" "a\\"\\\\(\\x[0-9a-f]{2})+"$/,
    );
  });

  it('are all written of failures, and of successes as many as were asked for', async (t) => {
    const { get, lines, file } = await scene(t, { successes: 0, fields: ['path', 'status'] });
    for (let i = 0; i < 20; i++) await get('/fine');
    await get('/bad');
    assert.deepEqual(await lines(1), ['{"path":"/bad","status":500}']);
    assert.equal(readFileSync(file, 'utf8').split('\n').length, 2);
  });

  it('go on in a new file when the old one is too large, and the oldest are deleted', async (t) => {
    const { get, folder } = await scene(t, { fields: ['path', 'user_agent'], rotate: { size: 1_024, keep: 2 } });
    const untilMs = Date.now() + 30_000;
    const files = (): string[] => readdirSync(folder).filter((name) => name.startsWith('access.log.'));
    const seen = new Set<string>();
    while (seen.size < 4) {
      assert.ok(Date.now() < untilMs, `files: ${[...seen].join()}`);
      for (let i = 0; i < 20; i++) await get(`/x/${i}`, { 'user-agent': 'x'.repeat(80) });
      for (const name of files()) seen.add(name);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await until(() => files().length <= 2, 'old files are deleted', 10_000);
    assert.deepEqual(files().length, 2, 'as many as are kept');
  });

  it('lose nothing when somebody else moves the file and says so', async (t) => {
    const { get, file, gateway, lines } = await scene(t, { fields: ['path'] });
    await get('/one');
    await lines(1);
    renameSync(file, `${file}.moved`);
    await get('/two');
    gateway.reopenLogs();
    await until(
      () => readFileSync(`${file}.moved`, 'utf8').includes('/two'),
      'the line before it is in the old file',
      10_000,
    );
    await until(() => readdirSync(join(file, '..')).includes('access.log'), 'the file is there again', 10_000);
    await get('/three');
    assert.deepEqual(await lines(1), ['{"path":"/three"}']);
  });
});

const LONG = `/${'a'.repeat(2_000)}`;

/** What is sent, and what its line says: method, path, status, fault, cause. */
const REFUSED: readonly (readonly [
  sent: string,
  method: string,
  path: string,
  status: number,
  fault: string,
  cause: RegExp,
])[] = [
  ['GET /x y HTTP/1.1\r\nHost: a\r\n\r\n', 'GET', '/x', 400, 'malformed_request', /./],
  ['GET /a?token=secret HTTP/1.1\r\nHost : a\r\n\r\n', 'GET', '/a', 400, 'malformed_request', /./],
  ['POST /\x01"\\\xff HTTP/1.1\r\nHost: a\r\n\r\n', 'POST', '/\x01"\\\xff', 400, 'malformed_request', /./],
  [`GET ${LONG} HTTP/1.1\r\nHost: a\r\n\r\n`, 'GET', `${LONG.slice(0, 256)}...`, 414, 'uri_too_long', /1000 bytes/],
  [`GET /many HTTP/1.1\r\nHost: a\r\n${'x: y\r\n'.repeat(200)}\r\n`, 'GET', '/many', 431, 'head_too_large', /fields/],
  ['GET http://ann:pw@a/b?c HTTP/3.0\r\nHost: a\r\n\r\n', 'GET', 'http://a/b', 505, 'version_not_supported', /./],
  ['CONNECT ann:pw@a:443 HTTP/3.0\r\nHost: a\r\n\r\n', 'CONNECT', 'a:443', 505, 'version_not_supported', /./],
  ['CONNECT ann:p/pw@a:443 HTTP/3.0\r\nHost: a\r\n\r\n', 'CONNECT', 'a:443', 505, 'version_not_supported', /./],
  ['GET ann:pw@a/@b HTTP/3.0\r\nHost: a\r\n\r\n', 'GET', 'a/@b', 505, 'version_not_supported', /./],
  ['\x16\x03\x01\x02\x00\x01\x00\r\n\r\n', '\x16\x03\x01\x02\x00\x01\x00', '', 400, 'malformed_request', /./],
];

describe('lines of heads that are refused', () => {
  it('say what was asked for, cut and escaped, without its query, and what was wrong', async (t) => {
    const { gateway, lines } = await scene(t, undefined);
    for (const [index, [sent, method, path, status, fault, cause]] of REFUSED.entries()) {
      const answer = await new RawCaller(gateway.port).send(sent).answer();
      const line = (await lines(index + 1))[index] ?? '';
      assert.match(line, /^[\x20-\x7e]+$/);
      const { time, address, cause: why = '', ...rest } = JSON.parse(line) as Record<string, unknown>;
      assert.ok(typeof time === 'string' && address === '127.0.0.1', line);
      const asked = { ...(method === '' ? {} : { method }), ...(path === '' ? {} : { path }) };
      assert.deepEqual([answer.status, rest], [status, { ...asked, status, fault }], line);
      assert.match(String(why), cause, line);
      assert.doesNotMatch(line, /secret|pw/);
    }
  });

  it('are the same over HTTP/2', async (t) => {
    const { gateway, lines } = await scene(t, undefined);
    const peer = await Http2Peer.connect(t, gateway.port);
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block(get(`${LONG}?token=secret`))));
    const [line = ''] = await lines(1);
    const { method, path, status, cause } = JSON.parse(line) as Record<string, unknown>;
    assert.deepEqual(
      [method, path, status, cause],
      ['GET', `${LONG.slice(0, 256)}...`, 414, 'the limit is 1000 bytes'],
    );
  });

  it('keep to the form of the records, and hide what its patterns match', async (t) => {
    const sent = 'GET /4111111111111111"? HTTP/1.1\r\nBad Field: x\r\n\r\n';
    for (const [format, wanted] of [
      [
        'json',
        /^\{"time":"[^"]+","method":"GET","path":"\/\*\*\*\\"","address":"127\.0\.0\.1","status":400,"fault":"malformed_request","cause":"[^"]+"\}$/,
      ],
      [
        'logfmt',
        /^time=\S+ method=GET path="\/\*\*\*\\"" address=127\.0\.0\.1 status=400 fault=malformed_request cause="[^"]+"$/,
      ],
      ['combined', /^127\.0\.0\.1 - - \[[^\]]+\] "GET \/\*\*\*\\"" 400 0 "-" "-"$/],
    ] as const) {
      const { gateway, lines } = await scene(t, { format, redact: { patterns: ['[0-9]{16}'] } });
      await new RawCaller(gateway.port).send(sent).answer();
      assert.match((await lines(1))[0] ?? '', wanted);
    }
  });
});

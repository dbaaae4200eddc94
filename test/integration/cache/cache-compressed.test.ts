/**
 * The cache beside `compression`: what the service sent is stored once, as it came, and packed for each client that
 * wants that; what the service has packed itself is never packed again.
 */
import assert from 'node:assert/strict';
import { type IncomingHttpHeaders, request } from 'node:http';
import { before, describe, test } from 'node:test';
import { brotliDecompressSync, gunzipSync, gzipSync, zstdDecompressSync } from 'node:zlib';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { suiteScope } from '../../support/scope.ts';
import { httpUpstream } from '../../support/upstream.ts';

const TEXT = Array.from({ length: 20_000 }, (_, i) => `line ${i} of a text that packs well`).join('\n');
const UNPACK: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: gunzipSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly isHit: boolean;
}

describe('the cache beside compression', () => {
  const scope = suiteScope();
  let gateway: TestGateway;
  const asked: string[] = [];

  before(async () => {
    const upstream = await httpUpstream(scope, (incoming, response) => {
      const path = incoming.url!;
      asked.push(path);
      response.setHeader('Content-Type', 'text/plain');
      response.setHeader('Cache-Control', path.startsWith('/stale') ? 'max-age=0' : 'max-age=600');
      if (path.startsWith('/tagged') || path.startsWith('/stale')) response.setHeader('ETag', '"strong"');
      if (path.startsWith('/stale') && incoming.headers['if-none-match'] === '"strong"') {
        response.writeHead(304).end();
        return;
      }
      if (!path.startsWith('/packed')) {
        response.end(path.startsWith('/short') ? TEXT.slice(0, 3_000) : TEXT);
        return;
      }
      response.setHeader('Vary', 'Accept-Encoding');
      if (!/gzip/.test(incoming.headers['accept-encoding'] ?? '')) response.end(TEXT);
      else response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(gzipSync(TEXT));
    });
    gateway = await startTestGateway(scope, {
      gateway: { workers: 2, compression: {} },
      services: { texts: { instances: [{ url: upstream.url }] } },
      routes: [{ match: { path: '/*' }, service: 'texts', auth: 'public', cache: {} }],
    });
  });

  function get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Got> {
    return new Promise((resolve, reject) => {
      request(`${gateway.url}${path}`, { headers, method }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode!,
            headers: response.headers,
            bytes: Buffer.concat(parts),
            isHit: String(response.headers['cache-status']).includes('; hit'),
          }),
        );
      })
        .on('error', reject)
        .end();
    });
  }

  const timesAsked = (path: string): number => asked.filter((each) => each === path).length;
  const codings = ['gzip', 'br', 'zstd'];

  for (const path of ['/plain', '/short']) {
    const text = path === '/short' ? TEXT.slice(0, 3_000) : TEXT;
    test(`${path}: stored once, given to each as it likes, whoever came first`, async () => {
      for (const first of [...codings, 'identity']) {
        const url = `${path}-${first}`;
        for (const [i, coding] of [first, ...codings, 'identity', first].entries()) {
          const got = await get(url, { 'accept-encoding': coding });
          assert.equal(got.status, 200);
          assert.equal(got.isHit, i > 0);
          assert.match(got.headers.vary!, /^accept-encoding$/i, 'once');
          assert.equal(got.headers['content-encoding'], coding === 'identity' ? undefined : coding);
          const bytes = UNPACK[coding]?.(got.bytes) ?? got.bytes;
          assert.equal(bytes.toString(), text);
        }
        assert.equal(timesAsked(url), 1);
      }
    });
  }

  test('what the service packed is stored as that variant, and packed no second time', async () => {
    for (let round = 0; round < 3; round++) {
      const packed = await get('/packed', { 'accept-encoding': 'gzip' });
      assert.equal(packed.headers['content-encoding'], 'gzip');
      assert.equal(gunzipSync(packed.bytes).toString(), TEXT);
      assert.equal(packed.isHit, round > 0);
      const plain = await get('/packed');
      assert.equal(plain.headers['content-encoding'], undefined);
      assert.equal(plain.bytes.toString(), TEXT);
      // The service has no br: it sends that variant plain, and the gateway packs it.
      const other = await get('/packed', { 'accept-encoding': 'br' });
      assert.equal(other.headers['content-encoding'], 'br');
      assert.equal(brotliDecompressSync(other.bytes).toString(), TEXT);
    }
    assert.equal(timesAsked('/packed'), 3, 'one for each variant');
  });

  test('conditions: each form has its tag, and a 304 says what a 200 would vary by', async () => {
    const packed = await get('/tagged', { 'accept-encoding': 'gzip' });
    assert.equal(packed.headers.etag, 'W/"strong"');
    const plain = await get('/tagged');
    assert.equal(plain.headers.etag, '"strong"');
    for (const [tag, coding] of [
      ['W/"strong"', 'gzip'],
      ['"strong"', 'identity'],
    ] as const) {
      const { status, headers, bytes } = await get('/tagged', { 'if-none-match': tag, 'accept-encoding': coding });
      assert.equal(status, 304);
      assert.equal(bytes.length, 0);
      assert.match(headers.vary!, /accept-encoding/i);
      assert.equal(headers.etag, tag);
    }
    assert.equal(timesAsked('/tagged'), 1);
  });

  test('a range is of the stored bytes, and not packed; a condition on a packed form gives the whole', async () => {
    await get('/tagged-range');
    const part = await get('/tagged-range', { range: 'bytes=5-24', 'accept-encoding': 'gzip' });
    assert.deepEqual([part.status, part.headers['content-encoding']], [206, undefined]);
    assert.equal(part.bytes.toString(), TEXT.slice(5, 25));
    const whole = await get('/tagged-range', {
      range: 'bytes=5-24',
      'if-range': 'W/"strong"',
      'accept-encoding': 'gzip',
    });
    assert.equal(whole.status, 200);
    assert.equal(gunzipSync(whole.bytes).toString(), TEXT);
  });

  test('HEAD says what GET would: the coding, and no length of the stored form', async () => {
    await get('/plain-head');
    const packed = await get('/plain-head', { 'accept-encoding': 'br' }, 'HEAD');
    assert.equal(packed.headers['content-encoding'], 'br');
    assert.notEqual(packed.headers['content-length'], String(TEXT.length));
    assert.equal(packed.bytes.length, 0);
    const plain = await get('/plain-head', {}, 'HEAD');
    assert.equal(plain.headers['content-encoding'], undefined);
    assert.equal(plain.headers['content-length'], String(TEXT.length));
    assert.equal(timesAsked('/plain-head'), 1);
  });

  test('what a 304 of the service has renewed is packed like anything else', async () => {
    assert.equal(gunzipSync((await get('/stale', { 'accept-encoding': 'gzip' })).bytes).toString(), TEXT);
    const again = await get('/stale', { 'accept-encoding': 'br' });
    assert.match(String(again.headers['cache-status']), /fwd-status=304/);
    assert.equal(brotliDecompressSync(again.bytes).toString(), TEXT);
    assert.equal((await get('/stale')).bytes.toString(), TEXT);
  });
});

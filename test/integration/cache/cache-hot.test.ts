/** What is asked for again and again is remembered by the worker: it must not outlive what is stored. */
import assert from 'node:assert/strict';
import { Agent, request as send } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandLine } from '../../../src/cli/command-line.suite.ts';
import { startTestGateway } from '../../support/gateway.ts';
import { until } from '../../support/until.ts';
import { httpUpstream } from '../../support/upstream.ts';

interface Got {
  readonly status: number;
  readonly body: string;
  readonly how: string;
  readonly length: string;
  readonly age: string;
  readonly tag: string;
}

/** Without `Cache-Control`, which `fetch` would add to some requests. */
async function get(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
  agent?: Agent,
): Promise<Got> {
  return await new Promise((resolve, reject) => {
    const call = send(url, { method, headers, ...(agent === undefined ? {} : { agent }) }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          body: Buffer.concat(parts).toString(),
          how: String(response.headers['cache-status'] ?? ''),
          length: String(response.headers['content-length'] ?? ''),
          age: String(response.headers.age ?? ''),
          tag: String(response.headers.etag ?? ''),
        }),
      );
    });
    call.on('error', reject).end();
  });
}

test('a response that is asked for often stays what is stored: purged, changed, stale, in part, of each variant', async (t) => {
  let asked = 0;
  const upstream = await httpUpstream(t, (request, response) => {
    asked++;
    const path = request.url!;
    const seconds = path.startsWith('/short') ? 1 : 600;
    response.setHeader('Cache-Control', `max-age=${seconds}`);
    response.setHeader('ETag', `"${asked}"`);
    if (path.startsWith('/language')) response.setHeader('Vary', 'Accept-Language');
    if (path.startsWith('/region')) response.setHeader('Vary', 'X-Region');
    // More than one chunk of the store, and one without a length.
    const filler = path.startsWith('/long') || path.startsWith('/chunked') ? 'abcdefghij'.repeat(700) : '';
    if (path.startsWith('/chunked')) response.write(`${asked} `);
    response.end(
      path.startsWith('/chunked') ? filler : `${asked} ${request.headers['accept-language'] ?? ''}${filler}`,
    );
  });
  const gateway = await startTestGateway(t, {
    gateway: { workers: 1 },
    services: { things: { instances: [{ url: upstream.url }] } },
    routes: [{ match: { path: '/*' }, service: 'things', auth: 'public', cache: {} }],
  });
  const at = (path: string): string => `${gateway.url}${path}`;
  /** Until it is remembered, and once more. */
  const often = async (path: string, headers: Readonly<Record<string, string>> = {}): Promise<Got> => {
    const first = await get(at(path), headers);
    for (let i = 0; i < 5; i++) {
      const got = await get(at(path), headers);
      assert.equal(got.body, first.body);
      assert.equal(got.tag, first.tag);
      assert.match(got.how, /; hit; ttl=-?\d+$/);
      assert.match(got.age, /^\d+$/);
      assert.equal(got.length, String(first.body.length));
    }
    return first;
  };

  for (const path of ['/small', '/long', '/chunked']) await often(path);
  const { body } = await often('/long');
  assert.equal((await get(at('/long'), { range: 'bytes=2-5' })).body, body.slice(2, 6));
  assert.equal((await get(at('/long'), { 'if-none-match': '"2"' })).status, 304);
  const asks = asked;
  assert.match((await get(at('/small'), { 'cache-control': 'no-cache' })).how, /; fwd=/);
  assert.equal(asked, asks + 1, 'who wants to be sure gets no remembered one');
  const head = await get(at('/long'), {}, 'HEAD');
  assert.deepEqual([head.body, head.length], ['', String(body.length)]);

  const english = await often('/language', { 'accept-language': 'en' });
  const german = await often('/language', { 'accept-language': 'de' });
  assert.notEqual(english.body, german.body);
  assert.equal((await get(at('/language'), { 'accept-language': 'en' })).body, english.body);

  // What says by which field variants are chosen takes the place of what said so of another URL.
  await get(at('/language'), {}, 'DELETE');
  const north = await often('/region', { 'x-region': 'north' });
  assert.notEqual((await often('/region', { 'x-region': 'south' })).body, north.body);

  const changed = await get(at('/long'), {}, 'DELETE');
  assert.equal(changed.status, 200);
  const after = await often('/long');
  assert.notEqual(after.body, body);

  const cli = commandLine();
  t.after(() => cli.remove());
  for (const target of [['--url', at('/long')], ['--prefix', at('/lo')], ['--all']]) {
    const stored = await often('/long');
    const { code, err } = await cli.run(
      'cache',
      'purge',
      ...target,
      '--socket',
      join(gateway.folder, 'gatehouse.sock'),
    );
    assert.equal(code, 0, err);
    assert.notEqual((await get(at('/long'))).body, stored.body, target.join(' '));
  }

  // Its second passes while it is asked for; from then on the service is.
  const short = await get(at('/short'));
  const isAnother = async (): Promise<boolean> => (await get(at('/short'))).body !== short.body;
  await until(isAnother, 'what is remembered is not sent beyond its end', 60_000);
});

test('what is remembered of a URL is of that host, that scheme, that query and that route alone', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    response.setHeader('Cache-Control', 'max-age=600');
    response.end(`${request.headers.host} ${request.url} ${request.headers['x-edition'] ?? ''}`);
  });
  const route = (more: object): object => ({ service: 'things', auth: 'public', cache: {}, ...more });
  const gateway = await startTestGateway(t, {
    gateway: { workers: 1 },
    services: { things: { instances: [{ url: upstream.url }] } },
    routes: [route({ match: { path: '/*', headers: { 'X-Edition': 'new' } } }), route({ match: { path: '/*' } })],
  });
  const requests = ['one.example', 'two.example'].flatMap((host) =>
    ['/a', '/a?x=1', '/a?x=2'].flatMap((path) => [
      { path, headers: { host }, body: `${host} ${path} ` },
      { path, headers: { host, 'x-edition': 'new' }, body: `${host} ${path} new` },
    ]),
  );
  for (let round = 0; round < 5; round++)
    for (const { path, headers, body } of requests) {
      const got = await get(`${gateway.url}${path}`, headers);
      assert.equal(got.body, body);
      if (round > 1) assert.match(got.how, /; hit; ttl=/);
    }
});

test('what all workers remember is gone for all of them when a purge, or an unsafe request by one, has ended', async (t) => {
  let version = 1;
  const upstream = await httpUpstream(t, (_request, response) => {
    response.writeHead(200, { 'Cache-Control': 'max-age=600', 'Cache-Tag': 'hot' }).end(`${version}`);
  });
  const gateway = await startTestGateway(t, {
    gateway: { workers: 3 },
    services: { things: { instances: [{ url: upstream.url }] } },
    routes: [{ match: { path: '/*' }, service: 'things', auth: 'public', cache: {} }],
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 24 });
  t.after(() => agent.destroy());
  const url = `${gateway.url}/a`;
  const everywhere = (): Promise<Got[]> => Promise.all(Array.from({ length: 24 }, () => get(url, {}, 'GET', agent)));
  const { cache } = gateway.primary;
  const ends: (() => boolean | Promise<boolean>)[] = [
    () => cache.purgeAll(),
    () => cache.purgeTag('hot'),
    () => cache.purgePrefix(gateway.url),
    () => cache.purgeKey(url),
    async () => (await get(url, {}, 'PUT')).status === 200,
  ];
  for (const [i, end] of ends.entries()) {
    for (let round = 0; round < 4; round++) await everywhere();
    assert.ok((await everywhere()).every(({ body, how }) => body === `${version}` && how.includes('; hit')));
    version++;
    assert.equal(await end(), true);
    for (const { body } of await everywhere()) assert.equal(body, `${version}`, `of end ${i}`);
  }
});

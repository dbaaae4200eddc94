/** Rule: fields that a service hides from a caller are hidden on every way to it: routes, compositions, handlers. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { httpUpstream } from '../support/upstream.ts';

const SECRET = '7321';
const BODY = `{"id":1,"secret":${SECRET},"big":12345678901234567890}`;

test('what a service hides is in no response, by whichever way it is asked', async (t) => {
  const stopped = Promise.withResolvers<void>();
  const upstream = await httpUpstream(t, (request, response) => {
    const path = request.url ?? '';
    if (path === '/lost') {
      response.writeHead(404, { 'Content-Type': 'text/html' });
      response.end('<p>nothing here</p>');
      return;
    }
    if (path === '/endless') {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      response.write(BODY.padEnd(5_000));
      response.on('close', () => stopped.resolve());
      return;
    }
    const type = path === '/text' ? 'text/plain' : 'application/json';
    response.writeHead(path === '/missing' ? 404 : 200, {
      'Content-Type': type,
      'Cache-Control': path === '/mine' ? 'no-store, no-cache="x"' : 'public, max-age=60',
      ETag: '"1"',
    });
    response.end(path === '/long' ? BODY.padEnd(5_000) : BODY);
  });
  const folder = await mkdtemp(join(tmpdir(), 'gh-hidden-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'mine.ts');
  await writeFile(
    file,
    `import { defineHandler } from 'gatehouse/policy';
    export default defineHandler((request, context) => context.fetch('service:a/' + context.params.path));`,
  );
  const parts = { a: { service: 'a', path: '/x' } };
  const gateway = await startTestGateway(t, {
    services: {
      a: {
        instances: [upstream.url],
        retries: 0,
        transform: { response: { hide: [{ fields: ['/secret'], except: ['admin'] }], maxSize: '4kb' } },
      },
      b: { instances: [upstream.url] },
    },
    routes: [
      { match: { path: '/direct' }, service: 'a', auth: 'public' },
      { match: { path: '/one' }, aggregate: { parts }, auth: 'public', cache: {} },
      {
        match: { path: '/two' },
        aggregate: { parts: { ...parts, b: { service: 'b', path: '/y' } }, response: { a: '{parts.a.body}' } },
        auth: 'public',
      },
      { match: { path: '/failed' }, aggregate: { parts: { a: { service: 'a', path: '/lost' } } }, auth: 'public' },
      {
        match: { path: '/spared' },
        aggregate: { parts: { ...parts, lost: { service: 'a', path: '/lost', onFailure: 'omit' } } },
        auth: 'public',
      },
      { match: { path: '/handled/:path' }, handler: file, auth: 'public' },
    ],
  });
  const seen = async (path: string): Promise<[number, string, Headers]> => {
    const response = await fetch(gateway.url + path);
    return [response.status, await response.text(), response.headers];
  };
  for (const path of ['/direct', '/one', '/two', '/handled/x', '/handled/missing', '/handled/text', '/handled/long'])
    assert.ok(!(await seen(path))[1].includes(SECRET), path);

  const [, one, fields] = await seen('/one');
  assert.equal(one, '{"a":{"id":1,"big":12345678901234567890}}');
  // It depends on the caller's roles, so it is not for a shared cache.
  assert.equal(fields.get('cache-control'), 'private, max-age=60');
  assert.match(fields.get('cache-status') ?? '', /detail=private/);
  const [status, handled, own] = await seen('/handled/x');
  assert.deepEqual([status, handled], [200, '{"id":1,"big":12345678901234567890}']);
  assert.deepEqual([own.get('cache-control'), own.get('etag')], ['max-age=60, private', null]);
  assert.equal((await seen('/handled/mine'))[2].get('cache-control'), 'no-store, no-cache="x", private');
  assert.equal((await seen('/handled/missing'))[0], 404);
  // What cannot be looked into is no response.
  assert.deepEqual([(await seen('/handled/text'))[0], (await seen('/handled/long'))[0]], [502, 502]);
  // It is not read further than it is looked into.
  assert.equal((await seen('/handled/endless'))[0], 502);
  await stopped.promise;

  // A part that failed has its status, whatever its body is.
  assert.equal((await seen('/failed'))[0], 404);
  const partial = (await seen('/spared'))[1];
  assert.match(partial, /"code":"status_404"/);
});

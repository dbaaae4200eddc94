/** Parts of stored responses, on routes whose policies look at whole bodies or send others. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTestGateway } from '../../support/gateway.ts';
import { type Answer, RawCaller } from '../../support/raw.ts';
import { httpUpstream } from '../../support/upstream.ts';

const POLICY = `import { definePolicy, jsonBody } from 'gatehouse/policy';
export default definePolicy({
  name: 'shout',
  create: () => ({ responseBody: jsonBody({ maxBytes: 9_000 }, (value) => ({ ...value, item: 'LOUD' })) }),
});`;

test('a part is cut out of what is stored only where the body goes out as it is stored', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gh-ranges-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'shout.ts'), POLICY);
  let asked = 0;
  const upstream = await httpUpstream(t, (_request, response) => {
    asked++;
    response.setHeader('Cache-Control', 'public, max-age=60');
    response.setHeader('ETag', '"v1"');
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ item: 'a'.repeat(2_000), secret: 'SECRET' }));
  });
  const object = { type: 'object', properties: { item: { type: 'string' } } };
  const route = (path: string, more: object): object => ({
    match: { path },
    service: 'things',
    auth: 'public',
    cache: {},
    ...more,
  });
  const gateway = await startTestGateway(t, {
    services: { things: { instances: [{ url: upstream.url }] } },
    routes: [
      route('/plain', { compression: {} }),
      route('/omit', { transform: { response: { omit: ['/secret'] } } }),
      route('/hide', { compression: {}, transform: { response: { hide: [{ fields: ['/secret'] }] } } }),
      route('/valid', { validate: { response: { body: object } } }),
      route('/mine', { use: [{ policy: join(folder, 'shout.ts') }] }),
    ],
  });
  const get = async (path: string, fields = ''): Promise<Answer> => {
    const caller = new RawCaller(gateway.port);
    t.after(() => caller.socket.destroy());
    caller.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
    return caller.answer();
  };
  for (const path of ['/omit', '/hide', '/valid', '/mine']) {
    const whole = await get(path);
    assert.equal(whole.status, 200, path);
    const part = await get(path, 'Range: bytes=0-20\r\n');
    assert.match(part.headers['cache-status']!, /; hit/, path);
    assert.deepEqual([part.status, part.body.toString()], [200, whole.body.toString()], path);
    assert.equal(whole.body.includes('SECRET'), path === '/valid' || path === '/mine', path);
  }
  const whole = await get('/plain');
  const part = await get('/plain', 'Range: bytes=0-20\r\nAccept-Encoding: gzip\r\n');
  assert.deepEqual([part.status, part.body.toString()], [206, whole.body.toString().slice(0, 21)]);
  assert.equal(part.headers['vary'], 'Accept-Encoding');
  assert.equal(asked, 5);
  // What is hidden from some is private, also where only its validity is told.
  const known = await get('/hide', 'If-None-Match: "v1"\r\n');
  assert.deepEqual([known.status, known.headers['cache-control']], [304, 'max-age=60, private']);
});

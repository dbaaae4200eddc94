/** `validate.response` and `openapi.response` through real sockets: a wrong response is 502, or passes and is named. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { ConfigurationError } from '../../src/main.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const SHOP = fileURLToPath(new URL('documents/shop.yaml', import.meta.url));
const JSON_TYPE = { 'Content-Type': 'application/json' };
const ORDER = { type: 'object', required: ['id'], properties: { id: { type: 'integer' } } };

type Service = (response: ServerResponse, request: IncomingMessage) => void;

interface Scene extends TestGateway {
  /** What the service does with the next requests. */
  service: Service;
  get(path?: string, init?: RequestInit): Promise<Response>;
  /** Status, and the reason or the body. */
  outcome(path?: string): Promise<string>;
  /** The access record of one request. */
  record(response: Response): Promise<Record<string, unknown>>;
  invalidResponses(): Promise<number>;
}

async function sceneWith(test: Scope, route: object, gateway: object = {}): Promise<Scene> {
  const upstream = await httpUpstream(test, (request, response) => scene.service(response, request));
  const started = await startTestGateway(test, {
    gateway: { accessLog: { file: 'access.log' }, ...gateway },
    services: { shop: { instances: [{ url: upstream.url }] } },
    routes: [
      { match: { path: '/v1/*' }, service: 'shop', auth: 'public', ...route },
      { match: { path: '/metrics/*' }, builtin: 'ops', auth: 'public' },
    ],
  });
  const get = (path = '/v1/orders/1', init: RequestInit = {}): Promise<Response> => fetch(started.url + path, init);
  const scene: Scene = Object.assign(started, {
    service: says(200, '{}'),
    get,
    async outcome(path?: string) {
      const response = await get(path);
      const text = await response.text();
      const what = response.headers.get('content-type')?.startsWith('application/problem')
        ? (JSON.parse(text) as { reason: string }).reason
        : text;
      return `${response.status} ${what}`;
    },
    async record(response: Response) {
      const id = response.headers.get('x-request-id') ?? '';
      const line = (): string | undefined =>
        readFileSync(join(started.folder, 'access.log'), 'utf8')
          .split('\n')
          .find((each) => each.includes(id) && each.endsWith('}'));
      await until(() => line() !== undefined, `the record of ${id}`, 60_000);
      return JSON.parse(line()!) as Record<string, unknown>;
    },
    async invalidResponses() {
      const text = await (await fetch(`${started.url}/metrics/prometheus`)).text();
      return Number(/^gatehouse_invalid_responses_total (\d+)$/m.exec(text)?.[1] ?? Number.NaN);
    },
  });
  return scene;
}

function says(status: number, body: string | Buffer, headers: Record<string, string> = JSON_TYPE): Service {
  return (response) => response.writeHead(status, headers).end(body);
}

describe('validate.response', () => {
  test('a right response passes byte for byte, with its fields', async (t) => {
    const scene = await sceneWith(t, { validate: { response: { body: ORDER } } });
    scene.service = says(200, '{ "id" : 1.0 }', { ...JSON_TYPE, ETag: '"a"', 'Content-Digest': 'sha-256=:abc=:' });
    const right = await scene.get();
    assert.equal(right.headers.get('etag'), '"a"');
    assert.equal(right.headers.get('content-digest'), 'sha-256=:abc=:');
    assert.equal(right.headers.get('content-length'), '14');
    assert.equal(await right.text(), '{ "id" : 1.0 }');
    assert.equal(await scene.invalidResponses(), 0);
  });

  test('of a wrong one the client sees nothing, also not what was wrong; record and metric have it', async (t) => {
    const scene = await sceneWith(t, { validate: { response: { body: ORDER } } });
    const wrong = ['{"id":"a","pet":"hunter2"}', '{', '', '{"id":1,"id":2}', '['.repeat(10_000), '"\\ud800"'];
    for (const body of wrong) {
      scene.service = says(200, body, { ...JSON_TYPE, 'X-Internal': 'yes' });
      const response = await scene.get();
      assert.equal(response.headers.get('x-internal'), null);
      const text = await response.text();
      assert.equal(`${response.status} ${(JSON.parse(text) as { reason: string }).reason}`, '502 invalid_response');
      assert.doesNotMatch(text, /hunter2|whole number/);
    }
    assert.equal(await scene.invalidResponses(), wrong.length);
    scene.service = says(200, '{"id":"a"}');
    const record = await scene.record(await scene.get());
    assert.deepEqual(
      [record['status'], record['fault'], record['invalid_response']],
      [502, 'invalid_response', '/id: a whole number'],
    );
  });

  test('mode: report sends the response as it comes, and names what is wrong with it', async (t) => {
    const scene = await sceneWith(t, { validate: { response: { body: ORDER, mode: 'report' } } });
    let end = (): void => {};
    scene.service = (response) => {
      response.writeHead(200, JSON_TYPE).write('{"id":');
      end = () => response.end('"a"}');
    };
    const response = await scene.get();
    const reader = response.body!.getReader();
    // Nothing waits for the verdict.
    assert.equal(Buffer.from((await reader.read()).value!).toString(), '{"id":');
    end();
    assert.equal(Buffer.from((await reader.read()).value!).toString(), '"a"}');
    assert.equal((await scene.record(response))['invalid_response'], '/id: a whole number');
    scene.service = says(200, gzipSync('{"id":1}'), { ...JSON_TYPE, 'Content-Encoding': 'gzip' });
    const packed = await scene.get();
    assert.deepEqual(await packed.json(), { id: 1 });
    assert.equal((await scene.record(packed))['invalid_response'], 'header.content-encoding: identity');
    assert.equal(await scene.invalidResponses(), 2);
  });

  test('bodies by status: the exact one before its range before the default', async (t) => {
    const only = (word: string) => ({ const: word });
    const bodies = { 201: only('made'), '2XX': only('fine'), '4XX': only('mistake'), default: only('other') };
    const scene = await sceneWith(t, { validate: { response: { bodies } } });
    for (const [status, word] of [
      [201, 'made'],
      [200, 'fine'],
      [404, 'mistake'],
      [500, 'other'],
    ] as const) {
      scene.service = says(status, JSON.stringify(word));
      assert.equal(await scene.outcome(), `${status} "${word}"`);
      scene.service = says(status, '"another"');
      assert.equal(await scene.outcome(), '502 invalid_response');
    }
  });

  test('statuses without schema pass, unless unknownStatuses: refuse', async (t) => {
    const scene = await sceneWith(t, { validate: { response: { body: ORDER } } });
    scene.service = says(404, 'nothing', { 'Content-Type': 'text/plain' });
    assert.equal(await scene.outcome(), '404 nothing');
    const strict = await sceneWith(t, { validate: { response: { body: ORDER, unknownStatuses: 'refuse' } } });
    strict.service = says(404, 'nothing', { 'Content-Type': 'text/plain' });
    assert.equal(await strict.outcome(), '502 invalid_response');
    assert.equal((await strict.get(undefined, { method: 'HEAD' })).status, 502);
    strict.service = says(204, '');
    assert.equal(await strict.outcome(), '204 ');
  });

  test('content types, header fields, a body beyond maxBodySize', async (t) => {
    const headers = { 'X-Rate': { type: 'integer' } };
    const scene = await sceneWith(t, { validate: { response: { body: ORDER, headers, maxBodySize: 100 } } });
    scene.service = says(200, '{"id":1}', { 'Content-Type': 'text/plain' });
    assert.equal(await scene.outcome(), '502 invalid_response');
    scene.service = says(200, '{"id":1}', { ...JSON_TYPE, 'X-Rate': 'many' });
    assert.equal(await scene.outcome(), '502 invalid_response');
    scene.service = says(200, '{"id":1}', { ...JSON_TYPE, 'X-Rate': '5' });
    assert.equal(await scene.outcome(), '200 {"id":1}');
    scene.service = says(200, `{"id":1,"more":"${'x'.repeat(200)}"}`);
    assert.equal(await scene.outcome(), '502 invalid_response');
    scene.service = (response) => {
      response.writeHead(200, JSON_TYPE).write('{"id":1,"more":"');
      response.write('x'.repeat(100));
    };
    assert.equal(await scene.outcome(), '502 invalid_response');
  });

  test('the service is asked for a whole body that is not packed; one that packs nevertheless is unpacked', async (t) => {
    const scene = await sceneWith(t, { validate: { response: { body: ORDER } }, compression: { minSize: 1 } });
    const asked: (string | undefined)[] = [];
    scene.service = (response, request) => {
      asked.push(request.headers['accept-encoding'], request.headers.range);
      response.writeHead(200, { ...JSON_TYPE, 'Content-Encoding': 'gzip' }).end(gzipSync('{"id":7}'));
    };
    const response = await scene.get(undefined, { headers: { 'Accept-Encoding': 'gzip', Range: 'bytes=0-3' } });
    // Packed again for the client, which wants it so.
    assert.equal(response.headers.get('content-encoding'), 'gzip');
    assert.deepEqual(await response.json(), { id: 7 });
    assert.deepEqual(asked, ['identity', undefined]);
    scene.service = says(200, gzipSync('{"id":"7"}'), { ...JSON_TYPE, 'Content-Encoding': 'gzip' });
    assert.equal(await scene.outcome(), '502 invalid_response');
    scene.service = says(206, '{"i', { ...JSON_TYPE, 'Content-Range': 'bytes 0-2/8' });
    assert.equal(await scene.outcome(), '502 invalid_response');
    scene.service = says(200, gzipSync(Buffer.alloc(50_000_000, ' ')), { ...JSON_TYPE, 'Content-Encoding': 'gzip' });
    assert.equal(await scene.outcome(), '502 invalid_response');
  });

  test('what a transform makes of it is not what is checked, and faults of the gateway are not looked at', async (t) => {
    const scene = await sceneWith(t, {
      validate: { response: { body: ORDER, unknownStatuses: 'refuse' } },
      transform: { response: { omit: ['/id'], set: { '/seen': true } } },
    });
    scene.service = says(200, '{"id":1}');
    assert.equal(await scene.outcome(), '200 {"seen":true}');
    scene.service = (response) => response.destroy();
    assert.match(await scene.outcome(), /^502 (?!invalid_response)/);
  });

  test('in pieces, broken off, behind a slow reader', async (t) => {
    const scene = await sceneWith(t, { validate: { response: { body: ORDER } } });
    scene.service = (response) => {
      response.writeHead(200, JSON_TYPE);
      for (const char of '{"id":12}') response.write(char);
      response.end();
    };
    assert.equal(await scene.outcome(), '200 {"id":12}');
    scene.service = (response) => {
      response.writeHead(200, { ...JSON_TYPE, 'Content-Length': '20' }).write('{"id":1}');
      setImmediate(() => response.destroy());
    };
    assert.match(await scene.outcome(), /^502 (?!invalid_response)/);
  });

  test('what says nothing, or the same twice, stops the start', async (t) => {
    const refused = async (response: object): Promise<string> => {
      const error = await sceneWith(t, { validate: { response } }).catch((thrown: unknown) => thrown);
      assert.ok(error instanceof ConfigurationError, String(error));
      return error.message;
    };
    assert.match(await refused({}), /validate\.response: says nothing about responses/);
    assert.match(await refused({ body: true, bodies: { '2XX': true } }), /response\.body: stands beside bodies\.2XX/);
    assert.match(await refused({ bodies: { 200: { typo: 1 } } }), /bodies.*200.*typo: the keyword/);
    assert.match(await refused({ bodies: { 99: true } }), /must be such as 200, 4XX or default/);
  });
});

describe('openapi.response', () => {
  test('status, fields, content types and bodies of the operation; writeOnly members need not be there', async (t) => {
    const scene = await sceneWith(t, { openapi: { file: SHOP, response: 'refuse' } });
    const rated = { ...JSON_TYPE, 'X-Rate': '7' };
    scene.service = says(200, '{"id":1,"parent":{"id":2}}', rated);
    assert.equal(await scene.outcome(), '200 {"id":1,"parent":{"id":2}}');
    scene.service = says(200, '{"id":1,"parent":{"id":2,"more":3}}', rated);
    assert.equal(await scene.outcome(), '502 invalid_response');
    scene.service = says(200, '{"id":1}');
    const noRate = await scene.get();
    assert.equal((await scene.record(noRate))['invalid_response'], 'header.x-rate: required');
    scene.service = says(200, '{"id":1}', { ...JSON_TYPE, 'X-Rate': '700' });
    assert.equal(await scene.outcome(), '502 invalid_response');
    scene.service = says(200, 'a;b', { 'Content-Type': 'text/csv', 'X-Rate': '7' });
    assert.equal(await scene.outcome(), '200 a;b');
    scene.service = says(200, 'a', { 'Content-Type': 'text/html', 'X-Rate': '7' });
    assert.equal(await scene.outcome(), '502 invalid_response');
    scene.service = says(422, '{"code":"X"}');
    assert.equal(await scene.outcome(), '422 {"code":"X"}');
    scene.service = says(422, '{}');
    assert.equal(await scene.outcome(), '502 invalid_response');
    scene.service = says(500, 'pass', { 'Content-Type': 'text/plain' });
    assert.equal(await scene.outcome(), '500 pass');
  });

  test('is not looked at unless asked for; report passes', async (t) => {
    const scene = await sceneWith(t, { openapi: SHOP });
    scene.service = says(200, '{"wrong":true}');
    assert.equal(await scene.outcome(), '200 {"wrong":true}');
    const report = await sceneWith(t, {
      openapi: { file: SHOP, response: { mode: 'report', unknownStatuses: 'refuse' } },
    });
    report.service = says(500, 'oh', { 'Content-Type': 'text/plain' });
    const response = await report.get();
    assert.equal(response.status, 500);
    assert.equal((await report.record(response))['invalid_response'], 'status: a status that the API describes');
  });
});

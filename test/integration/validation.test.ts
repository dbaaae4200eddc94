/** `validate` and `openapi` through real sockets: what is wrong is said, and nothing of it reaches the service. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ConfigurationError } from '../../src/main.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { httpUpstream, readAll } from '../support/upstream.ts';

const PETSTORE = fileURLToPath(new URL('documents/petstore.yaml', import.meta.url));

async function gatewayWith(
  test: Scope,
  route: object,
  gateway: Readonly<Record<string, unknown>> = {},
): Promise<TestGateway & { readonly seen: { url: string; body: string }[] }> {
  const seen: { url: string; body: string }[] = [];
  const upstream = await httpUpstream(test, (request, response) => {
    void readAll(request).then((body) => {
      seen.push({ url: request.url ?? '', body: body.toString() });
      response.end('ok');
    });
  });
  const started = await startTestGateway(test, {
    gateway,
    services: { pets: { instances: [{ url: upstream.url }] } },
    routes: [{ match: { path: '/v1/*' }, service: 'pets', auth: 'public', ...route }],
  });
  return Object.assign(started, { seen });
}

interface Problem {
  readonly reason: string;
  readonly errors?: readonly { readonly field: string; readonly value?: unknown; readonly expected: string }[];
}

async function errorsOf(response: Response): Promise<string[]> {
  const { reason, errors = [] } = (await response.json()) as Problem;
  assert.equal(`${response.status} ${reason}`, '400 invalid_request');
  return errors.map(
    ({ field, value, expected }) => `${field}${value === undefined ? '' : ` ${JSON.stringify(value)}`}: ${expected}`,
  );
}

const post = (url: string, body: string, type = 'application/json', more: Record<string, string> = {}) =>
  fetch(url, { method: 'POST', body, headers: { 'Content-Type': type, ...more } });

describe('validate', () => {
  const ORDER = {
    type: 'object',
    required: ['item'],
    properties: { item: { type: 'string' }, count: { type: 'integer', minimum: 1 } },
  };

  test('a right body reaches the service as it was sent, byte for byte', async (t) => {
    const gateway = await gatewayWith(t, { validate: { body: ORDER } });
    const body = '{ "item" : "lamp", "count":1.0 , "more": [1e2] }';
    assert.equal((await post(`${gateway.url}/v1/orders`, body)).status, 200);
    assert.equal((await post(`${gateway.url}/v1/orders`, body, 'application/merge-patch+json')).status, 200);
    assert.deepEqual(
      gateway.seen.map((each) => each.body),
      [body, body],
    );
  });

  test('a wrong body is 400 with every field, its value and what is expected; the service sees nothing', async (t) => {
    const gateway = await gatewayWith(t, { validate: { body: ORDER } });
    assert.deepEqual(await errorsOf(await post(`${gateway.url}/v1/orders`, '{"count":0}')), [
      '/item: required',
      '/count 0: 1 or more',
    ]);
    assert.deepEqual(await errorsOf(await post(`${gateway.url}/v1/orders`, '{"item":"a","item":"b"}')), [
      '/item: each name once in an object',
    ]);
    assert.deepEqual(await errorsOf(await post(`${gateway.url}/v1/orders`, '{')), ['body: a JSON text']);
    assert.deepEqual(await errorsOf(await post(`${gateway.url}/v1/orders`, '['.repeat(10_000))), [
      'body: at most 64 levels of nesting',
    ]);
    assert.deepEqual(await errorsOf(await fetch(`${gateway.url}/v1/orders`, { method: 'POST' })), ['body: required']);
    assert.deepEqual(gateway.seen, []);
  });

  for (const format of ['nested', 'flat'] as const) {
    test(`in the format ${format}`, async (t) => {
      const gateway = await gatewayWith(t, { validate: { body: ORDER } }, { errorFormat: format });
      const response = await post(`${gateway.url}/v1/orders`, '{"item":5}');
      const body = (await response.json()) as { error?: { details: object }; details?: object };
      const { field, value, expected } = (body.error?.details ?? body.details) as Record<string, string>;
      assert.deepEqual([field, value, expected], ['item', 5, 'a string']);
    });
  }

  test('a schema may have words of its own for who gets it wrong, also behind a reference', async (t) => {
    const hash = {
      type: 'string',
      pattern: '^[0-9a-f]{40}$',
      'x-message': 'Invalid commit hash format',
      'x-expected': '40-character SHA-1 hash',
    };
    const commit = { type: 'object', required: ['commit_hash'], properties: { commit_hash: hash } };
    const body = {
      type: 'object',
      properties: { ...commit.properties, more: { type: 'array', items: { $ref: '#/$defs/commit' } } },
      $defs: { commit },
    };
    const gateway = await gatewayWith(t, { validate: { body } }, { errorFormat: 'nested' });
    const errorOf = async (sent: object) => {
      const response = await post(`${gateway.url}/v1/commits`, JSON.stringify(sent));
      return ((await response.json()) as { error: object }).error;
    };
    assert.deepEqual(await errorOf({ commit_hash: 'abc123' }), {
      code: 'VALIDATION_ERROR',
      message: 'Invalid commit hash format',
      details: { field: 'commit_hash', value: 'abc123', expected: '40-character SHA-1 hash' },
    });
    assert.deepEqual(await errorOf({ more: [{ commit_hash: 'f'.repeat(40) }, { commit_hash: 7 }] }), {
      code: 'VALIDATION_ERROR',
      message: 'Invalid commit hash format',
      details: { field: 'more.1.commit_hash', value: 7, expected: '40-character SHA-1 hash' },
    });
    assert.deepEqual(await errorOf({ more: [{}] }), {
      code: 'VALIDATION_ERROR',
      message: 'the request does not fit what the API describes',
      details: { field: 'more.0.commit_hash', expected: 'required' },
    });
  });

  test('a content type that is not taken, or a packed body, is 415 and says what is (RFC 9110 §15.5.16)', async (t) => {
    const gateway = await gatewayWith(t, { validate: { body: ORDER } });
    const xml = await post(`${gateway.url}/v1/orders`, '<a/>', 'text/xml');
    assert.equal(xml.status, 415);
    assert.equal(xml.headers.get('accept'), 'application/json, application/*+json');
    const packed = await post(`${gateway.url}/v1/orders`, 'x', 'application/json', { 'Content-Encoding': 'gzip' });
    assert.equal(packed.status, 415);
    assert.equal(packed.headers.get('accept-encoding'), 'identity');
    assert.deepEqual(gateway.seen, []);
  });

  test('parameters of query, path, header and cookie, each with one reading', async (t) => {
    const gateway = await gatewayWith(t, {
      match: { path: '/v1/:id' },
      validate: {
        params: { id: { type: 'integer' } },
        query: { limit: { type: 'integer', maximum: 100 }, deep: { type: 'boolean' } },
        headers: { 'X-Version': { enum: ['1', '2'] } },
        cookies: { theme: { enum: ['dark'] } },
        required: ['query.limit'],
        unknownQuery: 'refuse',
      },
    });
    const get = (path: string, headers: Record<string, string> = {}) => fetch(gateway.url + path, { headers });
    assert.equal((await get('/v1/7?limit=5&deep=true', { 'X-Version': '2', Cookie: 'theme=dark' })).status, 200);
    const wrong = await get('/v1/a?limit=x&deep=1&other=1', { 'X-Version': '3', Cookie: 'theme=light' });
    assert.deepEqual(await errorsOf(wrong), [
      'query.limit "x": a whole number',
      'query.deep "1": a boolean',
      'path.id "a": a whole number',
      'header.x-version "3": one of "1", "2"',
      'cookie.theme "light": one of "dark"',
      'query.other: no such parameter',
    ]);
    assert.deepEqual(await errorsOf(await get('/v1/7?limit=5&limit=500')), ['query.limit: given once']);
    assert.deepEqual(await errorsOf(await get('/v1/7')), ['query.limit: required']);
    assert.deepEqual(await errorsOf(await get('/v1/7?limit=%ff')), [
      'query: percent-encoded UTF-8',
      'query.limit: required',
    ]);
  });

  test('a body that comes byte by byte, in chunks, behind 100-continue, is the same body', async (t) => {
    const gateway = await gatewayWith(t, { validate: { body: ORDER } });
    const body = '{"item":"lamp"}';
    const head = `POST /v1/o HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n`;
    const slow = new RawCaller(gateway.port);
    t.after(() => slow.close());
    const whole = `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
    await slow.sendSplit(
      whole,
      Array.from({ length: whole.length - 1 }, (_, i) => i + 1),
    );
    assert.equal((await slow.answer()).status, 200);
    const chunks = [...body].map((char) => `1\r\n${char}\r\n`).join('');
    slow.send(`${head}Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`);
    assert.equal((await slow.answer()).status, 200);
    slow.send(`${head}Content-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`);
    assert.match((await slow.atLeast(12)).toString(), /^HTTP\/1\.1 100 /);
    slow.send(body);
    assert.equal((await slow.answer()).status, 100);
    assert.equal((await slow.answer()).status, 200);
    assert.deepEqual(
      gateway.seen.map((each) => each.body),
      [body, body, body],
    );
    // Two requests in one write: the second is not taken for the body of the first.
    slow.send(`${whole}${whole}`);
    assert.equal((await slow.answer()).status, 200);
    assert.equal((await slow.answer()).status, 200);
  });

  test('a small body of many levels for a schema that leads back to itself holds nobody up', {
    timeout: 60_000,
  }, async (t) => {
    const body = {
      oneOf: [
        { type: 'object', required: ['and'], properties: { and: { $ref: '#' }, or: { $ref: '#' } } },
        { type: 'object', required: ['or'], properties: { or: { $ref: '#' }, and: { $ref: '#' } } },
        { type: 'integer' },
      ],
    };
    const gateway = await gatewayWith(t, { validate: { body } });
    let right = '1';
    let ambiguous = '1';
    for (let i = 0; i < 50; i++) {
      right = `{"and":${right}}`;
      ambiguous = `{"and":${ambiguous},"or":2}`;
    }
    assert.equal((await post(`${gateway.url}/v1/search`, right)).status, 200);
    const found = await errorsOf(await post(`${gateway.url}/v1/search`, ambiguous));
    assert.ok(
      found.some((each) => each.endsWith('exactly one of the forms that are described')),
      found.join(),
    );
  });

  test('what is wrong many times over is said in a response of bounded length', async (t) => {
    const parameters = { query: { limit: { type: 'integer' } }, unknownQuery: 'refuse' };
    const body = { type: 'object', items: { type: 'integer' }, additionalProperties: false };
    const gateway = await gatewayWith(t, { validate: { body, ...parameters } });
    const answers = await Promise.all([
      fetch(`${gateway.url}/v1/a?${'%zz&'.repeat(1_000)}`),
      fetch(`${gateway.url}/v1/a?${Array.from({ length: 900 }, (_, i) => `k${i}`).join('&')}`),
      post(
        `${gateway.url}/v1/a`,
        JSON.stringify(Object.fromEntries(Array.from({ length: 9_000 }, (_, i) => [`k${i}`, 1]))),
      ),
    ]);
    for (const answer of answers) {
      const text = await answer.text();
      assert.equal(answer.status, 400, text.slice(0, 500));
      assert.ok(text.length < 20_000, `${text.length} bytes`);
    }
  });

  test('a body beyond maxBodySize is 413, declared or not; one that breaks off costs nothing', async (t) => {
    const gateway = await gatewayWith(t, { validate: { body: ORDER, maxBodySize: 1_000 } });
    const long = `{"item":"${'x'.repeat(2_000)}"}`;
    assert.equal((await post(`${gateway.url}/v1/o`, long)).status, 413);
    const head = 'POST /v1/o HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n';
    const chunked = new RawCaller(gateway.port);
    t.after(() => chunked.close());
    chunked.send(`${head}Transfer-Encoding: chunked\r\n\r\n7d0\r\n${'x'.repeat(2_000)}\r\n`);
    assert.equal((await chunked.answer()).status, 413);
    const broken = new RawCaller(gateway.port);
    broken.send(`${head}Content-Length: 100\r\n\r\n{"item"`);
    await new Promise((resolve) => setImmediate(resolve));
    broken.close();
    assert.equal((await post(`${gateway.url}/v1/o`, '{"item":"a"}')).status, 200);
    assert.equal(gateway.seen.length, 1);
  });

  test('mode: report lets it pass and says so in the record', async (t) => {
    const gateway = await gatewayWith(t, { validate: { body: ORDER, mode: 'report' } });
    assert.equal((await post(`${gateway.url}/v1/o`, '{"item":5}')).status, 200);
    assert.deepEqual(
      gateway.seen.map((each) => each.body),
      ['{"item":5}'],
    );
  });

  test('a schema that is not supported stops the start with its place', async (t) => {
    const refused = async (validate: object): Promise<string> => {
      const error = await gatewayWith(t, { validate }).catch((thrown: unknown) => thrown);
      assert.ok(error instanceof ConfigurationError, String(error));
      return error.message;
    };
    assert.match(
      await refused({ body: { properties: { a: { typo: 1 } } } }),
      /validate\.body\.properties\.a\.typo: the keyword/,
    );
    assert.match(await refused({ query: { a: { pattern: '^(a+)+$' } } }), /validate\.query\.a\.pattern: .*exponential/);
    assert.match(await refused({ required: ['query.a'] }), /validate\.required\[0\]: has no schema/);
    assert.match(await refused({ query: { a: { type: 'object' } } }), /validate\.query\.a: an object as a parameter/);
  });
});

describe('openapi', () => {
  const TRACE = { 'X-Trace': 'b13d507f-0fc7-4aa2-a18a-9f569d6b261d' };

  test('checks paths, methods, parameters and bodies of a 3.0 document', async (t) => {
    const gateway = await gatewayWith(t, { openapi: PETSTORE });
    const get = (path: string, headers: Record<string, string> = TRACE) => fetch(gateway.url + path, { headers });
    for (const path of [
      '/v1/pets',
      '/v1/pets?limit=5&tags=cat&tags=dog&ids=1,2&filter=%7B%22by%22%3A1%7D',
      '/v1/pets/7',
      '/v1/pets/mine',
    ])
      assert.equal((await get(path)).status, 200, path);
    assert.deepEqual(
      await errorsOf(await get('/v1/pets?limit=0&tags=cow&ids=1,x&filter=%7B%7D', { 'X-Trace': 'a' })),
      [
        'header.X-Trace "a": a uuid',
        'query.limit 0: 1 or more',
        'query.tags/0 "cow": one of "cat", "dog"',
        'query.ids/1 "x": a whole number',
        'query.filter/by: required',
      ].map((each) => each.replace('X-Trace', 'x-trace')),
    );
    assert.deepEqual(await errorsOf(await get('/v1/pets/seven')), ['path.id "seven": a whole number']);
    assert.equal((await get('/v1/nothing')).status, 404);
    const wrongMethod = await fetch(`${gateway.url}/v1/pets/7`, { method: 'DELETE' });
    assert.equal(wrongMethod.status, 405);
    assert.equal(wrongMethod.headers.get('allow'), 'GET, HEAD');
  });

  test('translates nullable, exclusive bounds, readOnly and circular references', async (t) => {
    const gateway = await gatewayWith(t, { openapi: { file: PETSTORE, basePath: '/v1' } });
    const pet = (value: object) => post(`${gateway.url}/v1/pets`, JSON.stringify(value), 'application/json', TRACE);
    assert.equal((await pet({ name: 'a', owner: null, weight: 0.1, phone: '?', parent: { name: 'b' } })).status, 200);
    assert.deepEqual(await errorsOf(await pet({ name: '', weight: 0, parent: { name: 'b', parent: { owner: 1 } } })), [
      '/name "": at least 1 character',
      '/weight 0: more than 0',
      '/parent/parent/name: required',
      '/parent/parent/owner 1: a string or null',
    ]);
    assert.equal((await post(`${gateway.url}/v1/pets`, '', 'application/json', TRACE)).status, 400);
  });

  test('reads forms as their schema wants it', async (t) => {
    const gateway = await gatewayWith(t, { openapi: PETSTORE });
    const form = (body: string, type = 'application/x-www-form-urlencoded') =>
      post(`${gateway.url}/v1/form`, body, type);
    assert.equal((await form('age=7&name=a+b')).status, 200);
    assert.equal((await form('anything', 'text/plain; charset=utf-8')).status, 200);
    assert.deepEqual(await errorsOf(await form('age=x')), ['/age "x": a whole number']);
    assert.deepEqual(await errorsOf(await form('age=1&age=2')), ['form.age: given once']);
  });
});

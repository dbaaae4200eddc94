/** `validate.response.records` through real sockets: each record of a stream is looked at as it comes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { suiteScope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const SOON_MS = 60_000;
const LINES = { 'Content-Type': 'application/x-ndjson' };
const EVENTS = { 'Content-Type': 'text/event-stream' };

describe('records of responses', () => {
  const scope = suiteScope();
  let gateway: TestGateway;
  let serve: (response: ServerResponse) => void;

  before(async () => {
    const upstream = await httpUpstream(scope, (_incoming, response) => serve(response));
    const records = { type: 'object', required: ['id'], properties: { id: { type: 'integer' } } };
    const route = (path: string, more: object) => ({
      match: { path },
      service: 'changes',
      auth: 'public',
      validate: { response: { records, maxBodySize: '1kb', ...more } },
    });
    gateway = await startTestGateway(scope, {
      gateway: { accessLog: { file: 'access.log' } },
      services: { changes: { instances: [{ url: upstream.url }] } },
      routes: [route('/refuse', {}), route('/report', { mode: 'report' })],
    });
  });

  /** All that comes, and whether it broke off. */
  async function read(path: string): Promise<{ text: string; broke: boolean; id: string }> {
    const response = await fetch(`${gateway.url}${path}`);
    const id = response.headers.get('x-request-id')!;
    let text = '';
    try {
      for await (const part of response.body!) text += Buffer.from(part).toString();
      return { text, broke: false, id };
    } catch {
      return { text, broke: true, id };
    }
  }

  async function named(id: string): Promise<unknown> {
    const line = (): string | undefined =>
      readFileSync(join(gateway.folder, 'access.log'), 'utf8')
        .split('\n')
        .find((each) => each.includes(id) && each.endsWith('}'));
    await until(() => line() !== undefined, `the record of ${id}`, SOON_MS);
    return (JSON.parse(line()!) as Record<string, unknown>)['invalid_response'];
  }

  test('right ones pass byte for byte, each when it is there', async () => {
    const text = '{"id":1}\r\n\n{ "id" : 2.0, "ä": "ö" }\n{"id":3}';
    let more: ServerResponse | undefined;
    serve = (response) => {
      response.writeHead(200, LINES).write(text.slice(0, 12));
      more = response;
    };
    const response = await fetch(`${gateway.url}/refuse`);
    const reader = response.body!.getReader();
    const first = Buffer.from((await reader.read()).value!).toString();
    assert.ok(text.startsWith(first) && first.includes('{"id":1}'), 'the first one comes before the others are there');
    more!.end(text.slice(12));
    let rest = '';
    for (let part = await reader.read(); !part.done; part = await reader.read())
      rest += Buffer.from(part.value).toString();
    assert.equal(first + rest, text);
  });

  test('refuse: a wrong line does not reach the client, and ends the response', async () => {
    for (const wrong of ['{"id":"secret"}', '{', '{"id":1,"id":2}', 'text', `{"id":1,"x":"${'x'.repeat(2_000)}"}`]) {
      serve = (response) => response.writeHead(200, LINES).end(`{"id":1}\n${wrong}\n{"id":3}\n`);
      const got = await read('/refuse');
      assert.equal(got.broke, true, wrong.slice(0, 20));
      assert.ok('{"id":1}\n'.startsWith(got.text), got.text.slice(0, 50));
      assert.notEqual(await named(got.id), undefined);
    }
  });

  test('refuse: events with JSON are looked at, texts and comments pass', async () => {
    const right = ': hello\n\ndata: {"id":1}\n\ndata: [DONE]\n\nevent: a\ndata: {"id":\ndata: 2}\n\n';
    serve = (response) => response.writeHead(200, EVENTS).end(right);
    assert.deepEqual((await read('/refuse')).text, right);
    serve = (response) => response.writeHead(200, EVENTS).end('data: {"id":1}\n\ndata: {"no":2}\n\ndata: {"id":3}\n\n');
    const got = await read('/refuse');
    assert.equal(got.broke, true);
    assert.doesNotMatch(got.text, /no|3/);
    assert.equal(await named(got.id), '/id: required');
  });

  test('report: all passes, the first wrong one is named', async () => {
    const text = `{"id":1}\n{"id":"a"}\n{"no":2}\n{"id":4,"x":"${'x'.repeat(5_000)}"}\n{"id":5}`;
    serve = (response) => response.writeHead(200, { ...LINES, 'Content-Length': text.length }).end(text);
    const got = await read('/report');
    assert.deepEqual([got.text, got.broke], [text, false]);
    assert.equal(await named(got.id), '/id: a whole number');
    serve = (response) => response.writeHead(200, LINES).end('{"id":1}\n{"id":2}\n');
    const right = await read('/report');
    assert.equal(right.text, '{"id":1}\n{"id":2}\n');
    assert.equal(await named(right.id), undefined);
  });

  test('a response that is no stream is nobody’s affair here', async () => {
    serve = (response) => response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"any":1}');
    assert.equal((await read('/refuse')).text, '{"any":1}');
  });
});

/** Policies of users that read and change bodies, through real workers and sockets. */
import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { policyFile } from '../support/policy-file.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream, readAll } from '../support/upstream.ts';

type Service = (response: ServerResponse, request: IncomingMessage, body: Buffer) => void;

interface Scene extends TestGateway {
  /** Default: it gives back the body that it got, with its type and framing. */
  service: Service;
  post(body: string | Buffer, type?: string, query?: string): Promise<Response>;
  metric(name: string): Promise<number>;
}

const echo: Service = (response, request, body) => {
  response.setHeader('X-Length', request.headers['content-length'] ?? request.headers['transfer-encoding'] ?? 'none');
  response.setHeader('X-Digest', request.headers['content-digest'] ?? 'none');
  response.setHeader('Content-Type', request.headers['content-type'] ?? 'text/plain');
  response.setHeader('ETag', '"a"');
  response.end(body);
};

/** `hooks` is the object that `create` returns, as text. */
async function sceneWith(test: Scope, hooks: string, use: object = {}, more: object = {}): Promise<Scene> {
  const file = await policyFile(
    test,
    `import { bodyStream, definePolicy, jsonBody, refuse, wholeBody } from 'gatehouse/policy';
export default definePolicy({ name: 'mine', create: (options, { clock }) => (${hooks}) });`,
  );
  const upstream = await httpUpstream(test, (request, response) => {
    request.on('error', () => {});
    void readAll(request).then(
      (body) => scene.service(response, request, body),
      () => {},
    );
  });
  const started = await startTestGateway(test, {
    gateway: { maxRequestSize: '1gb' },
    services: { echo: { instances: [{ url: upstream.url }] } },
    routes: [
      { match: { path: '/a' }, service: 'echo', auth: 'public', use: [{ policy: file, ...use }], ...more },
      { match: { path: '/metrics/*' }, builtin: 'ops', auth: 'public' },
    ],
  });
  const scene: Scene = Object.assign(started, {
    service: echo,
    post(body: string | Buffer, type = 'application/json', query = '') {
      const headers = { 'Content-Type': type, 'Content-Digest': 'sha-256=:abc=:' };
      return fetch(`${started.url}/a?${query}`, { method: 'POST', body: new Uint8Array(Buffer.from(body)), headers });
    },
    async metric(name: string) {
      const text = await (await fetch(`${started.url}/metrics/prometheus`)).text();
      const line = text.split('\n').find((each) => each.startsWith(`${name}{policy="mine"}`));
      return Number(line?.split(' ').at(-1) ?? Number.NaN);
    },
  });
  return scene;
}

async function reasonOf(response: Response): Promise<string> {
  return `${response.status} ${((await response.json()) as { reason: string }).reason}`;
}

describe('requestBody: wholeBody', () => {
  const HOOKS = `{
    requestBody: wholeBody({ maxBytes: 1000 }, async (body, request) => {
      request.setUpstreamHeader('X-Seen', String(body.length));
      const text = body.toString();
      if (text.includes('secret')) return refuse(422, { code: 'SECRET', detail: 'it has a secret' });
      if (text.includes('same')) return undefined;
      return text.toUpperCase();
    }),
  }`;

  test('changes it, leaves it or refuses it, and the service gets it with its length', async (t) => {
    const scene = await sceneWith(t, HOOKS);
    const changed = await scene.post('hello', 'text/plain');
    assert.deepEqual(
      [await changed.text(), changed.headers.get('x-length'), changed.headers.get('x-digest')],
      ['HELLO', '5', 'none'],
    );
    const same = await scene.post('same', 'text/plain');
    assert.deepEqual(
      [await same.text(), same.headers.get('x-length'), same.headers.get('x-digest')],
      ['same', '4', 'sha-256=:abc=:'],
    );
    const refused = await scene.post('a secret');
    assert.equal(refused.status, 422);
    assert.equal(((await refused.json()) as { code: string }).code, 'SECRET');
    assert.equal(await reasonOf(await scene.post('x'.repeat(1_001))), '413 payload_too_large');
    // Without a body there is nothing to look at.
    assert.equal((await fetch(`${scene.url}/a`)).status, 200);
  });

  test('byte by byte, in chunks, behind 100-continue', async (t) => {
    const scene = await sceneWith(t, HOOKS);
    const caller = new RawCaller(scene.port);
    t.after(() => caller.close());
    const head = 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n';
    const whole = `${head}Content-Length: 5\r\n\r\nhello`;
    await caller.sendSplit(
      whole,
      Array.from({ length: whole.length - 1 }, (_, i) => i + 1),
    );
    assert.equal((await caller.answer()).body.toString(), 'HELLO');
    caller.send(`${head}Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n`);
    assert.equal((await caller.answer()).body.toString(), 'HELLO');
    caller.send(`${head}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n`);
    assert.equal((await caller.answer()).status, 100);
    caller.send('hello');
    assert.equal((await caller.answer()).body.toString(), 'HELLO');
  });
});

describe('requestBody: jsonBody', () => {
  test('gets the value, read in one way; other types are 415, other readings 400', async (t) => {
    const scene = await sceneWith(
      t,
      `{ requestBody: jsonBody({ maxBytes: 100_000 }, (value) => (value.same ? undefined : { ...value, seen: true })) }`,
    );
    assert.equal(
      await (await scene.post('{"id":12345678901234567890}')).text(),
      '{"id":12345678901234567890,"seen":true}',
    );
    assert.equal(await (await scene.post('{ "same" : 1 }')).text(), '{ "same" : 1 }');
    for (const body of ['{"a":1,"a":2}', '{', '', '['.repeat(10_000), '"\\ud800"'].filter((each) => each !== ''))
      assert.equal(await reasonOf(await scene.post(body)), '400 invalid_request', body.slice(0, 10));
    assert.equal(await reasonOf(await scene.post('<a/>', 'text/xml')), '415 unsupported_media_type');
    const packed = await fetch(`${scene.url}/a`, {
      method: 'POST',
      body: new Uint8Array(gzipSync('{}')),
      headers: { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' },
    });
    assert.equal(packed.status, 415);
  });
});

describe('requestBody: bodyStream', () => {
  test('changes the pieces as they come, and the service has them before the end', async (t) => {
    const scene = await sceneWith(
      t,
      `{ requestBody: bodyStream(async function* (pieces) {
        let count = 0;
        for await (const piece of pieces) { count += piece.length; yield piece.toString().toUpperCase(); }
        yield \` (\${count})\`;
      }) }`,
    );
    assert.equal(await (await scene.post('hello')).text(), 'HELLO (5)');
  });

  test('a generator that is slower than the client holds it back: memory stays bounded', async (t) => {
    const scene = await sceneWith(
      t,
      `{ requestBody: bodyStream(async function* (pieces) {
        let most = 0;
        for await (const piece of pieces) {
          await new Promise((resolve) => setImmediate(resolve));
          yield piece;
        }
      }) }`,
    );
    scene.service = (response, _request, body) => response.end(String(body.length));
    const upload = httpRequest(`${scene.url}/a`, { method: 'POST' });
    const answer = new Promise<string>((resolve, reject) => {
      upload
        .on('error', reject)
        .on('response', (response) => void readAll(response).then((body) => resolve(String(body))));
    });
    const piece = Buffer.alloc(65_536, 'x');
    for (let i = 0; i < 320; i++) await new Promise<void>((resolve) => upload.write(piece, () => resolve()));
    upload.end();
    assert.equal(await answer, String(320 * piece.length));
  });

  test('a generator that does not read holds the client back', async (t) => {
    const scene = await sceneWith(
      t,
      `{ requestBody: bodyStream(async function* (pieces, request) {
        await new Promise((resolve) => setTimeout(resolve, 600_000));
      }) }`,
      { timeout: '300s' },
    );
    const socket = connect(scene.port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.write('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 900000000\r\n\r\n');
    const piece = Buffer.alloc(1024 ** 2, 'x');
    for (let i = 0; i < 64; i++) socket.write(piece);
    // Whatever the sockets of the machine hold, most of it cannot leave.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    assert.ok(socket.writableLength > 40 * piece.length, `${socket.writableLength}`);
  });

  test('a refusal in the middle ends the request, and the service does not take it for whole', async (t) => {
    const scene = await sceneWith(
      t,
      `{ requestBody: bodyStream(async function* (pieces) {
        let count = 0;
        for await (const piece of pieces) { count += piece.length; yield piece; }
        if (count > 100_000) throw refuse(409, { code: 'TOO_MUCH' });
      }) }`,
    );
    let whole = 0;
    scene.service = (response) => {
      whole++;
      response.end();
    };
    assert.equal(await reasonOf(await scene.post('x'.repeat(200_000))), '409 policy_refused');
    assert.equal(whole, 0);
    assert.equal((await scene.post('x')).status, 200);
  });

  test('one that throws, yields nonsense or is late fails its own request only; the generator is ended', async (t) => {
    const scene = await sceneWith(
      t,
      `{ requestBody: bodyStream((pieces, request) => {
        if (request.query === 'none') return undefined;
        if (request.query === 'throws') throw new Error('at once');
        if (request.query === 'promise') return Promise.resolve();
        return (async function* () {
          try {
            if (request.query === 'late') await new Promise(() => {});
            for await (const piece of pieces) {
              if (request.query === 'later') throw new Error('later');
              yield request.query === 'number' ? 5 : piece;
            }
          } finally { globalThis.ended = (globalThis.ended ?? 0) + 1; }
        })();
      }), responseHead(exchange) { exchange.setResponseHeader('X-Ended', String(globalThis.ended)); } }`,
      { timeout: '50ms' },
    );
    assert.equal(await (await scene.post('a', 'text/plain', 'none')).text(), 'a');
    for (const query of ['throws', 'promise', 'later', 'number'])
      assert.equal(await reasonOf(await scene.post('a', 'text/plain', query)), '500 policy_failed', query);
    assert.equal(await reasonOf(await scene.post('a', 'text/plain', 'late')), '504 policy_timeout');
    const fine = await scene.post('a', 'text/plain');
    assert.equal(await fine.text(), 'a');
    assert.equal(fine.headers.get('x-ended'), '3');
    assert.equal(await scene.metric('gatehouse_policy_failures_total'), 4);
    assert.equal(await scene.metric('gatehouse_policy_timeouts_total'), 1);
  });

  test('a client that leaves ends the generator, which is no failure', async (t) => {
    const scene = await sceneWith(
      t,
      `{ requestBody: bodyStream(async function* (pieces) {
        globalThis.stage = 'begun';
        try { for await (const piece of pieces) yield piece; }
        finally { globalThis.stage = 'left'; }
      }), responseHead(exchange) { exchange.setResponseHeader('X-Stage', String(globalThis.stage)); } }`,
    );
    const isAt = async (stage: string): Promise<void> => {
      const untilMs = Date.now() + 60_000;
      for (;;) {
        const response = await fetch(`${scene.url}/a`);
        if (response.headers.get('x-stage') === stage) return;
        assert.ok(Date.now() < untilMs, `it never was at ${stage}`);
      }
    };
    const socket = connect(scene.port, '127.0.0.1');
    socket.write('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\nhello');
    await isAt('begun');
    socket.destroy();
    await isAt('left');
    assert.equal(await scene.metric('gatehouse_policy_failures_total'), 0);
  });
});

describe('responseBody', () => {
  test('wholeBody and jsonBody change it, with fields and length; the tag becomes weak', async (t) => {
    const scene = await sceneWith(
      t,
      `{ responseBody: jsonBody({ maxBytes: 1000 }, async (value, exchange) => {
        if (value.same) return undefined;
        if (value.no) return refuse(403, { code: 'NO' });
        exchange.setResponseHeader('X-Members', String(Object.keys(value).length));
        return { status: exchange.status, data: value };
      }) }`,
      {},
      { compression: { minSize: 1 } },
    );
    const changed = await scene.post('{"a":1}');
    assert.equal(await changed.text(), '{"status":200,"data":{"a":1}}');
    assert.deepEqual([changed.headers.get('x-members'), changed.headers.get('etag')], ['1', 'W/"a"']);
    assert.equal(await reasonOf(await scene.post('{"no":1}')), '403 policy_refused');
    assert.equal(await (await scene.post('not json', 'text/plain')).text(), 'not json');
    assert.equal(await reasonOf(await scene.post('{')), '502 transform_failed');
    assert.equal(await reasonOf(await scene.post(`{"a":"${'x'.repeat(1_000)}"}`)), '502 transform_failed');
    scene.service = (response, request) => {
      assert.equal(request.headers['accept-encoding'], 'identity');
      response
        .writeHead(200, { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' })
        .end(gzipSync('{"b":2}'));
    };
    assert.equal(await (await scene.post('{}')).text(), '{"status":200,"data":{"b":2}}');
    scene.service = (response) => response.destroy();
    assert.match(await reasonOf(await scene.post('{}')), /^502 (?!transform)/);
  });

  test('with same the body passes byte for byte, its tag as it was', async (t) => {
    const scene = await sceneWith(t, '{ responseBody: wholeBody({ maxBytes: 1000 }, () => undefined) }');
    const same = await scene.post('{ "a" : 1 }');
    assert.deepEqual([await same.text(), same.headers.get('etag')], ['{ "a" : 1 }', '"a"']);
    const head = await fetch(`${scene.url}/a`, { method: 'HEAD' });
    assert.equal(head.status, 200);
  });

  test('bodyStream sends pieces as they come, events without waiting for the end', async (t) => {
    const scene = await sceneWith(
      t,
      `{ responseBody: bodyStream(async function* (pieces) {
        for await (const piece of pieces) yield piece.toString().replaceAll('secret', '***');
      }, { types: ['text/event-stream'] }) }`,
    );
    let end = (): void => {};
    scene.service = (response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: a secret\n\n');
      end = () => response.end('data: end\n\n');
    };
    const response = await scene.post('x');
    const reader = response.body!.getReader();
    assert.equal(Buffer.from((await reader.read()).value!).toString(), 'data: a ***\n\n');
    end();
    assert.equal(Buffer.from((await reader.read()).value!).toString(), 'data: end\n\n');
    scene.service = echo;
    assert.equal(await (await scene.post('secret', 'text/plain')).text(), 'secret');
  });

  test('with holdHead the first piece may still become a refusal; without it the response breaks off', async (t) => {
    const hooks = (rules: string): string => `{ responseBody: bodyStream(async function* (pieces) {
      for await (const piece of pieces) {
        if (piece.toString().includes('bad')) throw refuse(502, { code: 'BAD' });
        yield piece;
      }
    }, ${rules}) }`;
    const held = await sceneWith(t, hooks('{ holdHead: true }'));
    assert.equal(await reasonOf(await held.post('bad', 'text/plain')), '502 policy_refused');
    assert.equal(await (await held.post('good', 'text/plain')).text(), 'good');
    const free = await sceneWith(t, hooks('{}'));
    await assert.rejects(async () => (await free.post('bad', 'text/plain')).text());
  });

  test('a client that reads slowly holds the service back', async (t) => {
    const scene = await sceneWith(
      t,
      `{ responseBody: bodyStream(async function* (pieces) { for await (const piece of pieces) yield piece; }) }`,
    );
    let sent = 0;
    let isOver = false;
    scene.service = (response) => {
      const piece = Buffer.alloc(65_536, 'x');
      const more = (): void => {
        while (!isOver && sent < 2_000) {
          sent++;
          if (!response.write(piece)) {
            response.once('drain', more);
            return;
          }
        }
        response.end();
      };
      more();
    };
    const socket = connect(scene.port, '127.0.0.1');
    t.after(() => {
      isOver = true;
      socket.destroy();
    });
    socket.on('error', () => {});
    socket.write('GET /a HTTP/1.1\r\nHost: a\r\n\r\n');
    socket.pause();
    await until(() => sent > 2, 'the response has begun', 60_000);
    let before = -1;
    while (before !== sent) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 1_500));
    }
    assert.ok(sent < 1_000, `${sent} pieces of 64 KB were taken from the service`);
    let received = 0;
    const whole = new Promise<void>((resolve) => {
      socket.on('data', (bytes) => {
        received += bytes.length;
        if (received > 2_000 * 65_536) resolve();
      });
    });
    socket.resume();
    await whole;
    assert.equal(sent, 2_000);
  });

  test('a hook that is not made with one of the three stops the start', async (t) => {
    const refused = (hooks: string) => assert.rejects(sceneWith(t, hooks), /the hook "(requestBody|responseBody)"/);
    await refused('{ requestBody(body) { return body; } }');
    await refused('{ responseBody: wholeBody({}, () => undefined) }');
    await refused('{ responseBody: jsonBody({ maxBytes: 10 }) }');
  });
});

/** Upstreams that lie, stall, reset and over-send, and callers that do: what the other side sees. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { cannedUpstream, deadPort, httpUpstream, rawUpstream } from '../support/upstream.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

function inFront(
  test: Scope,
  url: string,
  service: Record<string, unknown> = {},
  gateway: Record<string, unknown> = {},
): Promise<TestGateway> {
  return startTestGateway(test, {
    gateway,
    services: { s: { instances: [{ url }], ...service } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
}

async function ask(gateway: TestGateway, text = GET) {
  const caller = new RawCaller(gateway.port);
  const answer = await caller.send(text).answer();
  caller.close();
  return answer;
}

function reasonOf(answer: { body: Buffer }): unknown {
  return (JSON.parse(answer.body.toString()) as { reason: unknown }).reason;
}

describe('an upstream that does not speak HTTP/1.1', () => {
  const rows: { name: string; answer: string }[] = [
    { name: 'garbage', answer: '\x00\x01\x02garbage\r\n\r\n' },
    {
      name: 'length and coding together',
      answer: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok',
    },
    { name: 'two lengths', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok' },
    { name: 'a bare line feed', answer: 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok' },
    { name: 'a folded field', answer: 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok' },
    { name: 'a NUL in a field', answer: 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok' },
    { name: 'an unknown coding', answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n' },
    {
      name: 'a switch of protocols that nobody asked for',
      answer: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
    },
    { name: 'a head without end', answer: `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(15_000)}` },
  ];
  for (const { name, answer } of rows) {
    test(`${name}: the caller gets 502 and the connection to the upstream is dropped`, async (t) => {
      const upstream = await rawUpstream(t, (socket) =>
        socket.on('data', () => void socket.write(Buffer.from(answer, 'latin1'))),
      );
      const gateway = await inFront(t, upstream.url, { retries: 0 });
      const got = await ask(gateway);
      assert.equal(got.status, 502);
      assert.equal(reasonOf(got), 'upstream_malformed');
      await ask(gateway);
      assert.equal(upstream.connections, 2);
    });
  }
});

describe('an upstream that breaks off', () => {
  test('nothing listens: 502 connect_failed', async (t) => {
    const gateway = await inFront(t, `http://127.0.0.1:${await deadPort()}`);
    const got = await ask(gateway);
    assert.deepEqual([got.status, reasonOf(got)], [502, 'connect_failed']);
  });

  test('a connect fault is tried again at another instance, also for POST', async (t) => {
    const good = await cannedUpstream(t, OK);
    const gateway = await startTestGateway(t, {
      services: {
        s: {
          instances: [{ url: `http://127.0.0.1:${await deadPort()}` }, { url: good.url }],
          retries: 1,
          loadBalancing: { algorithm: 'round-robin' },
        },
      },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    for (let i = 0; i < 6; i++)
      assert.equal((await ask(gateway, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi')).status, 200);
  });

  test('it closes before an answer: 502 upstream_reset, and POST is not sent twice', async (t) => {
    let requests = 0;
    const upstream = await rawUpstream(t, (socket) =>
      socket.on('data', () => {
        requests++;
        socket.destroy();
      }),
    );
    const gateway = await inFront(t, upstream.url, { retries: 2 });
    const got = await ask(gateway, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi');
    assert.deepEqual([got.status, reasonOf(got)], [502, 'upstream_reset']);
    assert.equal(requests, 1);
  });

  test('an idle connection that the upstream has closed is not the next caller’s problem', async (t) => {
    // The first answer on each connection is followed by its end, so every reuse meets a closed connection.
    const upstream = await rawUpstream(t, (socket) => {
      let answered = false;
      socket.on('data', () => {
        if (answered) socket.destroy();
        else socket.write(OK);
        answered = true;
      });
    });
    const gateway = await inFront(t, upstream.url);
    for (let i = 0; i < 4; i++) assert.equal((await ask(gateway)).status, 200);
  });

  test('inside a body with a length: the caller sees a broken connection, not a short body', async (t) => {
    const upstream = await cannedUpstream(t, 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this', 'end');
    const gateway = await inFront(t, upstream.url);
    const caller = new RawCaller(gateway.port);
    caller.send(GET);
    const received = await caller.end();
    assert.match(received.toString(), /only this$/);
  });

  test('inside a chunked body: the last chunk never comes', async (t) => {
    const upstream = await cannedUpstream(
      t,
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
      'end',
    );
    const gateway = await inFront(t, upstream.url);
    const caller = new RawCaller(gateway.port);
    caller.send(GET);
    const received = (await caller.end()).toString();
    assert.match(received, /hello/);
    assert.doesNotMatch(received, /0\r\n\r\n$/);
  });

  test('what it sends beyond its answer reaches nobody', async (t) => {
    const upstream = await cannedUpstream(t, `${OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`);
    const gateway = await inFront(t, upstream.url);
    const caller = new RawCaller(gateway.port);
    for (let i = 0; i < 3; i++) assert.equal((await caller.send(GET).answer()).body.toString(), 'ok');
    assert.equal(caller.received.length, 0);
    caller.close();
  });

  test('what it sends while idle closes that connection', async (t) => {
    const sockets: Socket[] = [];
    const upstream = await rawUpstream(t, (socket) => {
      sockets.push(socket);
      socket.on('data', () => void socket.write(OK));
    });
    const gateway = await inFront(t, upstream.url);
    await ask(gateway);
    const closed = new Promise((resolve) => sockets[0]!.once('close', resolve));
    sockets[0]!.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison');
    await closed;
    assert.equal((await ask(gateway)).body.toString(), 'ok');
    assert.equal(upstream.connections, 2);
  });
});

describe('an upstream that is slow', () => {
  test('it never answers: 504 first_byte_timeout, and its connection is closed', async (t) => {
    let closed: Promise<unknown> = Promise.resolve();
    const upstream = await rawUpstream(t, (socket) => {
      socket.resume();
      closed = new Promise((resolve) => socket.once('close', resolve));
    });
    const gateway = await inFront(t, upstream.url, { timeouts: { firstByte: '200ms' } });
    const got = await ask(gateway);
    assert.deepEqual([got.status, reasonOf(got)], [504, 'first_byte_timeout']);
    await closed;
  });

  test('it stops inside the body: the connection to the caller is broken', async (t) => {
    const upstream = await cannedUpstream(t, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    const gateway = await inFront(t, upstream.url, { timeouts: { idle: '200ms' } });
    const caller = new RawCaller(gateway.port);
    caller.send(GET);
    assert.match((await caller.end()).toString(), /abc$/);
  });

  test('it trickles past the total: 504 total_timeout', async (t) => {
    const upstream = await rawUpstream(t, (socket) => void socket.resume());
    const gateway = await inFront(t, upstream.url, { timeouts: { total: '200ms', firstByte: '10s' } });
    const got = await ask(gateway);
    assert.deepEqual([got.status, reasonOf(got)], [504, 'total_timeout']);
  });

  test('it has no connection left: others wait, and past the queue are refused with 503', async (t) => {
    let answerAll: (() => void)[] = [];
    const upstream = await httpUpstream(t, (_request, response) => void answerAll.push(() => response.end('ok')));
    const gateway = await inFront(t, upstream.url, { pool: { maxConnections: 1, maxQueued: 1, queueTimeout: '10s' } });
    const first = new RawCaller(gateway.port).send(GET);
    const second = new RawCaller(gateway.port).send(GET);
    await until(() => answerAll.length === 1, 'the one that has the connection');
    // Which of the two was first is the kernel's choice; a third finds connection and queue taken.
    const refused = await ask(gateway);
    assert.deepEqual([refused.status, reasonOf(refused)], [503, 'overloaded']);
    answerAll[0]!();
    await until(() => answerAll.length === 2, 'the one that waited');
    answerAll[1]!();
    assert.equal((await first.answer()).status, 200);
    assert.equal((await second.answer()).status, 200);
    answerAll = [];
    first.close();
    second.close();
  });
});

describe('a caller that behaves badly', () => {
  test('it does not finish its head: 408', async (t) => {
    const upstream = await cannedUpstream(t, OK);
    const gateway = await inFront(t, upstream.url, {}, { timeouts: { head: '200ms' } });
    const caller = new RawCaller(gateway.port);
    const answer = await caller.send('GET / HTTP/1.1\r\nHost:').answer();
    assert.equal(answer.status, 408);
    await caller.end();
  });

  test('it says nothing: the connection is closed', async (t) => {
    const upstream = await cannedUpstream(t, OK);
    const gateway = await inFront(t, upstream.url, {}, { timeouts: { head: '200ms' } });
    assert.equal((await new RawCaller(gateway.port).end()).length, 0);
  });

  test('it stops inside its body: 408, and the upstream request is abandoned', async (t) => {
    let abandoned: Promise<unknown> = Promise.resolve();
    const upstream = await rawUpstream(t, (socket) => {
      socket.resume();
      abandoned = new Promise((resolve) => socket.once('close', resolve));
    });
    const gateway = await inFront(t, upstream.url, {}, { timeouts: { bodyIdle: '200ms' } });
    const caller = new RawCaller(gateway.port);
    const answer = await caller.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc').answer();
    assert.equal(answer.status, 408);
    await abandoned;
    await caller.end();
  });

  test('it leaves: the upstream request ends', async (t) => {
    let arrived: (value: Socket) => void = () => {};
    const connection = new Promise<Socket>((resolve) => {
      arrived = resolve;
    });
    const upstream = await rawUpstream(t, (socket) => socket.once('data', () => arrived(socket)));
    const gateway = await inFront(t, upstream.url);
    const caller = new RawCaller(gateway.port).send(GET);
    const socket = await connection;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    caller.close();
    await closed;
  });

  test('it keeps a connection idle: it is closed after the keep-alive timeout', async (t) => {
    const upstream = await cannedUpstream(t, OK);
    const gateway = await inFront(t, upstream.url, {}, { timeouts: { keepAlive: '200ms' } });
    const caller = new RawCaller(gateway.port);
    await caller.send(GET).answer();
    await caller.end();
  });

  test('it sends more requests than a connection may have: the last one says close', async (t) => {
    const upstream = await cannedUpstream(t, OK);
    const gateway = await inFront(t, upstream.url, {}, { limits: { maxRequestsPerConnection: 2 } });
    const caller = new RawCaller(gateway.port);
    assert.equal((await caller.send(GET).answer()).headers['connection'], undefined);
    assert.equal((await caller.send(GET).answer()).headers['connection'], 'close');
    await caller.end();
  });

  test('an early answer to a long upload arrives whole', async (t) => {
    const upstream = await rawUpstream(t, (socket) =>
      socket.once('data', () => void socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')),
    );
    const gateway = await inFront(t, upstream.url);
    const caller = new RawCaller(gateway.port);
    caller.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n');
    const block = Buffer.alloc(64 * 1024, 'x');
    for (let i = 0; i < 16; i++) caller.send(block);
    const answer = await caller.answer();
    assert.deepEqual([answer.status, answer.body.toString()], [403, 'no']);
    await caller.end();
  });
});

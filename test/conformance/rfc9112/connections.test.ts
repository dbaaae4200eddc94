/** RFC 9112 §8 and §9: messages that do not end, persistence, retries, pipelines, and how connections close. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { get, OK, post, Scene } from '../support/scene.ts';

describe('RFC 9112 §8 incomplete messages', () => {
  const scene = new Scene({ requestBuffer: 'off' });

  for (const [name, text] of [
    ['a length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc'],
    ['chunks', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
  ] as const) {
    test(`§8: a request with ${name} that breaks off never looks whole to the upstream`, async () => {
      const caller = scene.caller().send(text);
      await scene.until(() => scene.received[0]?.includes('abc') === true, 'the upstream has what there is');
      const closed = new Promise((resolve) => scene.sockets[0]!.once('close', resolve));
      caller.close();
      await closed;
      assert.equal(scene.requests.length, 0);
      assert.doesNotMatch(scene.received[0]!, /\r\n0\r\n/);
    });
  }

  test('§8: a head that breaks off is nobody’s request', async () => {
    const caller = scene.caller().send('GET / HTTP/1.1\r\nHost: a\r\n');
    caller.socket.end();
    await caller.end();
    assert.equal(scene.sockets.length, 0);
  });

  test('§8: an answer that breaks off inside its chunks is broken off for the caller', async () => {
    scene.behaviour = (_request, socket) => socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel');
    const received = (await scene.caller().send(get()).end()).toString();
    assert.match(received, /hel/);
    assert.doesNotMatch(received, /\r\n0\r\n/);
  });

  test('§8: an answer that ends with the connection and is reset is broken off, not ended', async () => {
    scene.behaviour = (_request, socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\nhello', () => setImmediate(() => socket.resetAndDestroy()));
    };
    const received = (await scene.caller().send(get()).end()).toString();
    assert.doesNotMatch(received, /\r\n0\r\n\r\n$/);
  });

  test('§8: an answer whose head breaks off is 502', async () => {
    scene.behaviour = (_request, socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Le');
    assert.equal((await scene.ask(get())).status, 502);
  });
});

describe('RFC 9112 §8 incomplete messages, gathered first', () => {
  const scene = new Scene();

  test('§8: a short request that breaks off never reaches the upstream', async () => {
    const caller = scene.caller().send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc');
    assert.equal((await scene.ask(post('whole'))).status, 200);
    caller.close();
    assert.equal((await scene.ask(post('also whole'))).status, 200);
    assert.deepEqual(
      scene.requests.map(({ body }) => body),
      ['whole', 'also whole'],
    );
  });
});

describe('RFC 9112 §9.3 persistence', () => {
  const scene = new Scene({ requestBuffer: 'off' });

  test('§9.3: HTTP/1.1 stays open without a word', async () => {
    const caller = scene.caller();
    for (let i = 0; i < 3; i++) assert.equal((await caller.send(get()).answer()).headers['connection'], undefined);
    assert.equal(scene.sockets.length, 1);
  });

  test('§9.3: an HTTP/1.0 upstream is asked once per connection unless it says keep-alive', async () => {
    scene.behaviour = 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok';
    for (let i = 0; i < 2; i++) assert.equal((await scene.ask(get())).status, 200);
    assert.equal(scene.sockets.length, 2);
    scene.behaviour = 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok';
    for (let i = 0; i < 2; i++) assert.equal((await scene.ask(get())).status, 200);
    assert.equal(scene.sockets.length, 3);
  });

  test('§9.3: an unknown connection option changes nothing', async () => {
    const caller = scene.caller();
    for (let i = 0; i < 2; i++)
      assert.equal((await caller.send(get('/', 'Connection: whatever, ,\r\n')).answer()).status, 200);
  });

  test('§9.3: an answer that came before its request was whole ends the upstream connection', async () => {
    const caller = scene.caller().send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc');
    await scene.until(() => scene.received[0]?.includes('abc') === true, 'the upstream has what there is');
    const closed = new Promise((resolve) => scene.sockets[0]!.once('close', resolve));
    scene.sockets[0]!.write(OK);
    assert.equal((await caller.answer()).status, 200);
    await closed;
    // The rest is small enough to be read away, so the caller's own connection goes on.
    caller.send(`defghij${get('/next')}`);
    assert.equal((await caller.answer()).status, 200);
    assert.equal(scene.requests.at(-1)!.target, '/next');
  });
});

describe('RFC 9112 §9.3.1 retrying requests', () => {
  const scene = new Scene({ retries: { attempts: 1, budget: '100%' } });

  /** The second request on a connection meets one that has just been closed. */
  const closesReused = (): void => {
    const used = new Set<unknown>();
    scene.behaviour = (_request, socket) => {
      if (used.has(socket)) socket.resetAndDestroy();
      else socket.write(OK);
      used.add(socket);
    };
  };

  for (const method of ['GET', 'PUT', 'DELETE']) {
    test(`§9.3.1: ${method} is sent again when a reused connection closes without an answer`, async () => {
      closesReused();
      assert.equal((await scene.ask(get())).status, 200);
      assert.equal((await scene.ask(post('hi', '', method))).status, 200);
      assert.equal(scene.requests.filter((request) => request.method === method).at(-1)!.body, 'hi');
    });
  }

  test('§9.3.1: POST is not', async () => {
    closesReused();
    assert.equal((await scene.ask(get())).status, 200);
    assert.equal((await scene.ask(post('hi'))).status, 502);
    assert.equal(scene.requests.filter(({ method }) => method === 'POST').length, 1);
  });

  test('§9.3.1: POST with an idempotency key is', async () => {
    closesReused();
    assert.equal((await scene.ask(get())).status, 200);
    assert.equal((await scene.ask(post('hi', 'Idempotency-Key: "k-1"\r\n'))).status, 200);
  });

  test('§9.3.1: nothing is sent again once part of an answer has come', async () => {
    scene.behaviour = (_request, socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    const received = (await scene.caller().send(get()).end()).toString();
    assert.match(received, /abc$/);
    assert.equal(scene.requests.length, 1);
  });
});

describe('RFC 9112 §9.3.2 pipelining', () => {
  const scene = new Scene();

  test('§9.3.2: answers come in the order of requests, whichever upstream is faster', async () => {
    let release = (): void => {};
    scene.behaviour = ({ target }, socket) => {
      const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${target}`;
      if (target === '/slow') release = () => socket.write(answer);
      else socket.write(answer);
    };
    const caller = scene.caller().send(get('/slow') + get('/fast'));
    await scene.until(() => scene.requests.length === 1, 'the first has arrived');
    release();
    assert.equal((await caller.answer()).body.toString(), '/slow');
    assert.equal((await caller.answer()).body.toString(), '/fast');
  });

  test('§9.3.2: an error of the gateway does not end the pipeline', async () => {
    const caller = scene.caller().send(get('/a/../b') + get('/after'));
    assert.equal((await caller.answer()).status, 400);
    assert.equal((await caller.answer()).status, 200);
    assert.equal(scene.requests[0]!.target, '/after');
  });

  test('§9.3.2: behind what is not HTTP nothing is read', async () => {
    const caller = scene.caller().send(`${get('/before')}GET / HTTP/1.1\r\nHost a\r\n\r\n${get('/after')}`);
    assert.equal((await caller.answer()).status, 200);
    const refused = await caller.answer();
    assert.deepEqual([refused.status, refused.headers['connection']], [400, 'close']);
    assert.equal((await caller.end()).length, 0);
    assert.deepEqual(
      scene.requests.map(({ target }) => target),
      ['/before'],
    );
  });

  test('§9.3.2: behind close nothing is read', async () => {
    const caller = scene.caller().send(get('/last', 'Connection: close\r\n') + get('/after'));
    assert.equal((await caller.answer()).headers['connection'], 'close');
    assert.equal((await caller.end()).length, 0);
    assert.equal(scene.requests.length, 1);
  });

  test('§9.3.2: behind a broken answer nothing is read', async () => {
    scene.behaviour = (_request, socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    const caller = scene.caller().send(get('/first') + get('/after'));
    assert.match((await caller.end()).toString(), /abc$/);
    assert.equal(scene.requests.length, 1);
  });
});

describe('RFC 9112 §9.6 closing', () => {
  const scene = new Scene({}, { maxRequestSize: '1kb' });

  test('§9.6: the answer to an upload that is too large arrives although the upload goes on', async () => {
    const caller = scene.caller();
    caller.socket.pause();
    caller.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n');
    const block = Buffer.alloc(60_000, 'x');
    for (let i = 0; i < 10; i++) await new Promise((resolve) => caller.socket.write(block, resolve));
    caller.socket.resume();
    const answer = await caller.answer();
    assert.deepEqual([answer.status, answer.headers['connection']], [413, 'close']);
    await caller.end();
  });

  test('§9.6: the answer to what is not HTTP arrives although more follows', async () => {
    const caller = scene.caller();
    caller.socket.pause();
    caller.send('nonsense\r\n\r\n');
    for (let i = 0; i < 10; i++)
      await new Promise((resolve) => caller.socket.write(Buffer.alloc(60_000, 'x'), resolve));
    caller.socket.resume();
    assert.equal((await caller.answer()).status, 400);
    await caller.end();
  });

  test('§9.6: a connection that said close is closed by the gateway, not left to the caller', async () => {
    const caller = scene.caller().send(get('/', 'Connection: close\r\n'));
    assert.equal((await caller.answer()).status, 200);
    await caller.end();
  });

  test('§9.6: a caller who does not stop sending is cut off in the end', async () => {
    const caller = scene.caller().send('nonsense\r\n\r\n');
    assert.equal((await caller.answer()).status, 400);
    const block = Buffer.alloc(64 * 1024, 'x');
    const more = (error?: Error | null): void => {
      if (error == null && !caller.socket.destroyed) caller.socket.write(block, more);
    };
    more();
    await scene.until(() => caller.closed, 'the connection is cut off');
  });
});

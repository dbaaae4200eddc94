/** RFC 9110 §9 and §15: what methods and statuses mean for what follows a head. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { get, OK, post, Scene } from '../support/scene.ts';

describe('RFC 9110 §9 methods', () => {
  const scene = new Scene();

  test('§9.3.2: HEAD gets the length that GET would have, and no body', async () => {
    scene.behaviour = 'HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: "x"\r\n\r\n';
    const caller = scene.caller().send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n');
    const answer = await caller.answer('HEAD');
    assert.deepEqual([answer.headers['content-length'], answer.headers['etag']], ['12345', '"x"']);
    assert.equal((await caller.send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n').answer('HEAD')).status, 200);
    assert.equal(scene.sockets.length, 1, 'the upstream connection was used again');
  });

  test('§9.3.2: HEAD answered with chunks announced has none, and the next request is in order', async () => {
    scene.behaviour = ({ method }, socket) =>
      socket.write(method === 'HEAD' ? 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' : OK);
    const caller = scene.caller().send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal((await caller.answer('HEAD')).status, 200);
    assert.equal((await caller.send(get()).answer()).body.toString(), 'ok');
    assert.equal(scene.sockets.length, 1);
  });

  test('§9.3.2: a body that an upstream sends after HEAD reaches nobody', async () => {
    scene.behaviour = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison';
    const caller = scene.caller().send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal((await caller.answer('HEAD')).status, 200);
    scene.behaviour = OK;
    assert.equal((await caller.send(get()).answer()).body.toString(), 'ok');
    assert.equal(caller.received.length, 0);
    assert.equal(scene.sockets.length, 2, 'the connection that was out of step was not used again');
  });

  test('§9.3.2: an error of the gateway itself has no body for HEAD', async () => {
    const caller = scene.caller().send('HEAD /a/../b HTTP/1.1\r\nHost: a\r\n\r\n');
    const answer = await caller.answer('HEAD');
    assert.equal(answer.status, 400);
    assert.ok(Number(answer.headers['content-length']) > 0);
    assert.equal((await caller.send(get()).answer()).body.toString(), 'ok');
  });

  test('§9.1: a method that nobody knows is passed on, in its own case', async () => {
    await scene.ask('brew /pot HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal(scene.requests[0]!.method, 'brew');
  });

  test('§9.3.1: GET with a body keeps it', async () => {
    await scene.ask('GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello');
    assert.equal(scene.requests[0]!.body, 'hello');
  });

  test('§9.3.7: OPTIONS for a path goes to the upstream', async () => {
    await scene.ask('OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.deepEqual([scene.requests[0]!.method, scene.requests[0]!.target], ['OPTIONS', '/x']);
  });

  test('§9.3.8: TRACE is refused, so that it shows no credentials', async () => {
    assert.equal((await scene.ask('TRACE / HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\n\r\n')).status, 501);
    assert.equal(scene.requests.length, 0);
  });
});

describe('RFC 9110 §15 statuses without content', () => {
  const scene = new Scene();

  for (const status of [204, 304]) {
    test(`§15: a body behind ${status} reaches nobody`, async () => {
      scene.behaviour = `HTTP/1.1 ${status} x\r\nContent-Length: 6\r\n\r\npoison`;
      const caller = scene.caller().send(get());
      assert.equal((await caller.answer()).status, status);
      scene.behaviour = OK;
      assert.equal((await caller.send(get()).answer()).body.toString(), 'ok');
      assert.equal(caller.received.length, 0);
    });

    test(`§15: ${status} with chunks announced has none`, async () => {
      scene.behaviour = `HTTP/1.1 ${status} x\r\nTransfer-Encoding: chunked\r\n\r\n`;
      const caller = scene.caller().send(get());
      const answer = await caller.answer();
      assert.deepEqual([answer.status, answer.headers['transfer-encoding']], [status, undefined]);
      assert.equal((await caller.send(get()).answer()).status, status);
    });
  }

  test('§8.6: 204 has no length, 304 keeps what it says of the representation', async () => {
    scene.behaviour = 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n';
    assert.equal((await scene.ask(get())).headers['content-length'], undefined);
    scene.behaviour = 'HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: "x"\r\n\r\n';
    const answer = await scene.ask(get());
    assert.deepEqual([answer.headers['content-length'], answer.headers['etag']], ['77', '"x"']);
  });

  test('§15.3.6: 205 passes with a length of zero', async () => {
    scene.behaviour = 'HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n';
    const answer = await scene.ask(post('x'));
    assert.deepEqual([answer.status, answer.headers['content-length']], [205, '0']);
  });

  test('§15: an unknown status and its reason pass as they are', async () => {
    scene.behaviour = 'HTTP/1.1 477 Very Particular\r\nContent-Length: 0\r\n\r\n';
    const caller = scene.caller().send(get());
    await scene.until(() => caller.received.includes('\r\n\r\n'), 'the head is there');
    assert.match(caller.received.toString(), /^HTTP\/1\.1 477 Very Particular\r\n/);
  });
});

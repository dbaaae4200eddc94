/** RFC 9110 §15.2 and §10.1.1: interim answers and Expect. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { get, OK, post, Scene } from '../support/scene.ts';

const HINT = 'HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n';

describe('RFC 9110 §15.2 informational answers', () => {
  const scene = new Scene();

  test('§15.2: several pass in order before the final answer', async () => {
    scene.behaviour = `${HINT}HTTP/1.1 102 Processing\r\n\r\n${HINT}${OK}`;
    const caller = scene.caller().send(get());
    const statuses = [];
    for (let i = 0; i < 4; i++) statuses.push((await caller.answer()).status);
    assert.deepEqual(statuses, [103, 102, 103, 200]);
  });

  test('§15.2: a status of the class that nobody knows passes too', async () => {
    scene.behaviour = `HTTP/1.1 199 Almost\r\nX-Step: 3\r\n\r\n${OK}`;
    const caller = scene.caller().send(get());
    const interim = await caller.answer();
    assert.deepEqual([interim.status, interim.headers['x-step']], [199, '3']);
    assert.equal((await caller.answer()).status, 200);
  });

  test('§15.2: none is sent to an HTTP/1.0 caller', async () => {
    scene.behaviour = `${HINT}${OK}`;
    const answer = await scene.ask('GET / HTTP/1.0\r\n\r\n');
    assert.equal(answer.status, 200);
  });

  test('§15.2.1: a 100 that the caller did not ask for is not passed on', async () => {
    scene.behaviour = `HTTP/1.1 100 Continue\r\n\r\n${OK}`;
    assert.equal((await scene.ask(post('hello'))).status, 200);
  });

  test('§15.2: interim answers to pipelined requests stay with their request', async () => {
    scene.behaviour = ({ target }, socket) => socket.write(target === '/first' ? HINT + OK : OK);
    const caller = scene.caller().send(get('/first') + get('/second') + get('/first'));
    const statuses = [];
    for (let i = 0; i < 5; i++) statuses.push((await caller.answer()).status);
    assert.deepEqual(statuses, [103, 200, 200, 103, 200]);
  });

  test('§15.2: one that comes in pieces is passed on whole', async () => {
    scene.behaviour = (_request, socket) => {
      socket.write(HINT.slice(0, 20), () => setImmediate(() => socket.write(HINT.slice(20) + OK)));
    };
    const caller = scene.caller().send(get());
    assert.equal((await caller.answer()).headers['link'], '</style.css>; rel=preload');
    assert.equal((await caller.answer()).status, 200);
  });
});

describe('RFC 9110 §10.1.1 Expect', () => {
  const scene = new Scene();

  test('§10.1.1: the expectation goes to the upstream before the body does', async () => {
    const caller = scene.caller();
    caller.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n');
    await scene.until(() => scene.received[0]?.includes('\r\n\r\n') === true, 'the head has arrived');
    assert.match(scene.received[0]!, /expect: 100-continue\r\n/i);
    scene.sockets[0]!.write('HTTP/1.1 100 Continue\r\n\r\n');
    assert.equal((await caller.answer()).status, 100);
    caller.send('hello');
    assert.equal((await caller.answer()).status, 200);
    assert.equal(scene.requests[0]!.body, 'hello');
  });

  test('§10.1.1: the names are case-insensitive', async () => {
    scene.behaviour = `HTTP/1.1 100 Continue\r\n\r\n${OK}`;
    const caller = scene.caller().send(post('hello', 'EXPECT: 100-Continue\r\n'));
    assert.equal((await caller.answer()).status, 100);
    assert.equal((await caller.answer()).status, 200);
  });

  test('§10.1.1: a final answer instead of 100 ends the exchange without the body', async () => {
    const caller = scene.caller();
    caller.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n');
    await scene.until(() => scene.received[0] !== undefined, 'the head has arrived');
    scene.sockets[0]!.write('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n');
    const answer = await caller.answer();
    // The body may or may not follow, so nothing that comes then can be told from a request.
    assert.deepEqual([answer.status, answer.headers['connection']], [401, 'close']);
    await caller.end();
  });

  test('§10.1.1: a caller that sends its body without waiting is served', async () => {
    assert.equal((await scene.ask(post('hello', 'Expect: 100-continue\r\n'))).status, 200);
    assert.equal(scene.requests[0]!.body, 'hello');
  });

  test('§10.1.1: the expectation of an HTTP/1.0 caller is ignored', async () => {
    scene.behaviour = `HTTP/1.1 100 Continue\r\n\r\n${OK}`;
    const answer = await scene.ask('POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello');
    assert.equal(answer.status, 200);
  });
});

/** RFC 9112 §2, §3, §6 and §7: start lines, targets, framing and chunks. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { get, OK, post, Scene } from '../support/scene.ts';

describe('RFC 9112 §2.2 message parsing', () => {
  const scene = new Scene();

  test('§2.2: one empty line before a request is ignored, also between two', async () => {
    const caller = scene.caller().send(`\r\n${post('hi')}\r\n${get('/next')}`);
    assert.equal((await caller.answer()).status, 200);
    assert.equal((await caller.answer()).status, 200);
    assert.deepEqual(
      scene.requests.map(({ target }) => target),
      ['/', '/next'],
    );
  });

  test('§2.2: two are not', async () => {
    assert.equal((await scene.ask(`\r\n\r\n${get()}`)).status, 400);
  });

  test('§2.2: white space between the request line and the first field is refused', async () => {
    assert.equal((await scene.ask('GET / HTTP/1.1\r\n Host: a\r\n\r\n')).status, 400);
  });
});

describe('RFC 9112 §3.2 request targets', () => {
  const scene = new Scene();
  const forms: { name: string; line: string; target: string; host: string }[] = [
    { name: 'absolute-form without a path', line: 'GET http://b.example', target: '/', host: 'b.example' },
    { name: 'absolute-form with a query only', line: 'GET http://b.example?q=1', target: '/?q=1', host: 'b.example' },
    { name: 'absolute-form with a port', line: 'GET http://b.example:81/x', target: '/x', host: 'b.example:81' },
    {
      name: 'absolute-form with a scheme in capitals',
      line: 'GET HTTP://b.example/x',
      target: '/x',
      host: 'b.example',
    },
    { name: 'absolute-form with an IPv6 address', line: 'GET http://[::1]:81/x', target: '/x', host: '[::1]:81' },
    { name: 'a colon in the first segment', line: 'GET /a:b', target: '/a:b', host: 'a.example' },
    { name: 'a question mark in the query', line: 'GET /a?b?c', target: '/a?b?c', host: 'a.example' },
    { name: 'OPTIONS with a path', line: 'OPTIONS /a', target: '/a', host: 'a.example' },
  ];
  for (const { name, line, target, host } of forms) {
    test(`§3.2: ${name}`, async () => {
      assert.equal((await scene.ask(`${line} HTTP/1.1\r\nHost: a.example\r\n\r\n`)).status, 200);
      assert.equal(scene.requests[0]!.target, target);
      assert.deepEqual(scene.upstreamField('x-forwarded-host'), [host]);
    });
  }

  test('§3.2.4: OPTIONS for an authority without a path asks about the gateway', async () => {
    assert.equal((await scene.ask('OPTIONS http://b.example HTTP/1.1\r\nHost: a\r\n\r\n')).status, 204);
    assert.equal(scene.requests.length, 0);
  });

  for (const line of [
    'GET *',
    'GET a.example:80',
    'GET a',
    'GET ftp://b.example/',
    'GET http:///x',
    'GET http://u@b/',
    'GET ?a',
  ])
    test(`§3.2: ${line} is refused`, async () => {
      assert.equal((await scene.ask(`${line} HTTP/1.1\r\nHost: a\r\n\r\n`)).status, 400);
      assert.equal(scene.requests.length, 0);
    });

  test('§3.2: what must be encoded in a path and is not is taken and sent on percent-encoded, as browsers mean it', async () => {
    assert.equal((await scene.ask('GET /\\x|y HTTP/1.1\r\nHost: a\r\n\r\n')).status, 200);
    assert.equal(scene.requests.at(-1)?.target, '/%5Cx%7Cy');
  });

  test('§3.2.2: the absolute form needs a Host too in HTTP/1.1', async () => {
    assert.equal((await scene.ask('GET http://b.example/ HTTP/1.1\r\n\r\n')).status, 400);
  });
});

describe('RFC 9112 §6 framing', () => {
  const scene = new Scene();

  test('§6.3 rule 8: what has no end of its own ends with the connection, for HTTP/1.0', async () => {
    scene.behaviour = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n';
    const caller = scene.caller().send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    const received = (await caller.end()).toString();
    assert.match(received, /\r\nConnection: close\r\n/);
    assert.match(received, /\r\n\r\nhello$/);
  });

  test('§6.3 rule 7: a request with neither length nor chunks has no body', async () => {
    const caller = scene.caller().send(`POST / HTTP/1.1\r\nHost: a\r\n\r\n${get('/next')}`);
    assert.equal((await caller.answer()).status, 200);
    assert.equal((await caller.answer()).status, 200);
    assert.deepEqual(
      scene.requests.map(({ body, target }) => [body, target]),
      [
        ['', '/'],
        ['', '/next'],
      ],
    );
  });

  test('§6.2: a length of zero is passed on', async () => {
    await scene.ask(post(''));
    assert.deepEqual(scene.upstreamField('content-length'), ['0']);
  });

  test('§6.1: the request after a chunked one is its own', async () => {
    const caller = scene.caller();
    caller.send(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n${get('/next')}`);
    await caller.answer();
    await caller.answer();
    assert.deepEqual(
      scene.requests.map(({ body, target }) => [body, target]),
      [
        ['hi', '/'],
        ['', '/next'],
      ],
    );
  });

  const broken: { name: string; answer: string }[] = [
    { name: 'a length that is no number', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\nok' },
    { name: 'a negative length', answer: 'HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok' },
    { name: 'a list of lengths', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok' },
    { name: 'chunked twice', answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n' },
    { name: 'chunks in HTTP/1.0', answer: 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' },
    { name: 'a status of two digits', answer: 'HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n' },
    { name: 'a version of its own', answer: 'HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n' },
  ];
  for (const { name, answer } of broken) {
    test(`§6: an answer with ${name} is 502`, async () => {
      scene.behaviour = answer;
      assert.equal((await scene.ask(get())).status, 502);
    });
  }
});

describe('RFC 9112 §7.1 chunks', () => {
  const scene = new Scene();
  const chunked = (body: string): string => `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;

  test('§7.1: sizes are hexadecimal in either case, with leading zeros, and the last may have several', async () => {
    await scene.ask(chunked(`00A\r\n0123456789\r\nb\r\nabcdefghijk\r\n000\r\n\r\n`));
    assert.equal(scene.requests[0]!.body, '0123456789abcdefghijk');
  });

  test('§7.1.1: extensions are read and dropped', async () => {
    await scene.ask(chunked('2;name;other="quoted; \\"text\\""\r\nhi\r\n0;last=1\r\n\r\n'));
    assert.equal(scene.requests[0]!.body, 'hi');
    assert.doesNotMatch(scene.received[0]!, /name|quoted|last/);
  });

  for (const body of [
    '2\nhi\r\n0\r\n\r\n',
    '2\r\nhi\n0\r\n\r\n',
    '2 \r\nhi\r\n0\r\n\r\n',
    ' 2\r\nhi\r\n0\r\n\r\n',
    '0x2\r\nhi\r\n0\r\n\r\n',
    '+2\r\nhi\r\n0\r\n\r\n',
    '-2\r\nhi\r\n0\r\n\r\n',
    '\r\nhi\r\n0\r\n\r\n',
    'g\r\nhi\r\n0\r\n\r\n',
    '2;\r\nhi\r\n0\r\n\r\n',
    '2;a="\r\nhi\r\n0\r\n\r\n',
    '3\r\nhi\r\n0\r\n\r\n',
    'ffffffffffffffff\r\nhi\r\n0\r\n\r\n',
    '2\r\nhi\r\n0\r\n folded\r\n\r\n',
    '2\r\nhi\r\n0\r\nbad name: x\r\n\r\n',
  ]) {
    test(`§7.1: ${JSON.stringify(body.slice(0, 24))} is refused, and the upstream gets no whole request`, async () => {
      const caller = scene.caller().send(chunked(body));
      const answer = await caller.answer();
      assert.deepEqual([answer.status, answer.headers['connection']], [400, 'close']);
      await caller.end();
      assert.equal(scene.requests.length, 0);
    });
  }

  test('§7.1: a broken chunk of an answer breaks the connection', async () => {
    scene.behaviour = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n';
    const caller = scene.caller().send(get());
    const received = (await caller.end()).toString();
    assert.doesNotMatch(received, /\r\n0\r\n\r\n$/);
    scene.behaviour = OK;
    assert.equal((await scene.ask(get())).status, 200);
    assert.equal(scene.sockets.length, 2);
  });
});

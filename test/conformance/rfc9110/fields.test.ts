/** RFC 9110 §5 to §8: fields that belong to one connection, to proxies, and to everybody. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { get, post, Scene } from '../support/scene.ts';

describe('RFC 9110 §7.6.1 Connection, in answers', () => {
  const scene = new Scene();

  test('§7.6.1: what Connection names stays behind, and so do the fields of one connection', async () => {
    scene.behaviour =
      'HTTP/1.1 200 OK\r\nConnection: X-Private, keep-alive\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\nX-Public: 2\r\nContent-Length: 0\r\n\r\n';
    const { headers } = await scene.ask(get());
    for (const name of ['connection', 'x-private', 'keep-alive', 'proxy-connection', 'upgrade'])
      assert.equal(headers[name], undefined, name);
    assert.equal(headers['x-public'], '2');
  });

  test('§7.6.1: Connection cannot take off the length', async () => {
    scene.behaviour = 'HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n\r\nok';
    const answer = await scene.ask(get());
    assert.deepEqual([answer.headers['content-length'], answer.body.toString()], ['2', 'ok']);
  });

  test('§7.6.1: close from the upstream ends that connection and not the caller’s', async () => {
    scene.behaviour = 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok';
    const caller = scene.caller().send(get());
    assert.equal((await caller.answer()).headers['connection'], undefined);
    assert.equal((await caller.send(get()).answer()).status, 200);
    assert.equal(scene.sockets.length, 2);
  });

  test('§7.6.1: close from the caller ends that connection and not the upstream’s', async () => {
    assert.equal((await scene.ask(get('/', 'Connection: close\r\n'))).headers['connection'], 'close');
    assert.deepEqual(scene.upstreamField('connection'), []);
    await scene.ask(get());
    assert.equal(scene.sockets.length, 1);
  });

  test('§10.1.4: TE passes as far as trailers, and is named by Connection', async () => {
    await scene.ask(get('/', 'TE: gzip;q=0.5, trailers, deflate\r\nConnection: TE\r\n'));
    assert.deepEqual(scene.upstreamField('te'), ['trailers']);
    assert.deepEqual(scene.upstreamField('connection'), ['TE']);
    await scene.ask(get('/', 'TE: gzip\r\n'));
    assert.deepEqual(scene.upstreamField('te'), []);
  });
});

describe('RFC 9110 §7.6.3 Via', () => {
  const scene = new Scene();

  test('§7.6.3: a request gets an entry behind those it has, with the version that was received', async () => {
    await scene.ask(get('/', 'Via: 1.0 fred, 1.1 p.example\r\n'));
    assert.deepEqual(scene.upstreamField('via'), ['1.0 fred, 1.1 p.example, 1.1 gatehouse']);
    await scene.ask('GET / HTTP/1.0\r\nVia: 1.1 x\r\nVia: 1.1 y\r\n\r\n');
    assert.deepEqual(scene.upstreamField('via'), ['1.1 x, 1.1 y, 1.0 gatehouse']);
  });

  test('§7.6.3: so does an answer', async () => {
    scene.behaviour = 'HTTP/1.0 200 OK\r\nVia: 1.1 inner\r\nContent-Length: 0\r\n\r\n';
    assert.equal((await scene.ask(get())).headers['via'], '1.1 inner, 1.0 gatehouse');
  });
});

describe('RFC 9110 §6.6.1 Date', () => {
  const scene = new Scene();
  const IMF_FIXDATE =
    /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT$/;

  test('§6.6.1: an answer without a date gets one, in the preferred form (§5.6.7)', async () => {
    const said = (await scene.ask(get())).headers['date']!;
    assert.match(said, IMF_FIXDATE);
    assert.ok(Math.abs(Date.parse(said) - Date.now()) < 60_000);
  });

  test('§6.6.1: a date that is there stays, and stays one', async () => {
    const date = 'Sun, 06 Nov 1994 08:49:37 GMT';
    scene.behaviour = `HTTP/1.1 200 OK\r\nDate: ${date}\r\nContent-Length: 0\r\n\r\n`;
    assert.equal((await scene.ask(get())).headers['date'], date);
  });

  test('§6.6.1: an answer of the gateway itself has one', async () => {
    assert.match((await scene.ask('GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n')).headers['date']!, IMF_FIXDATE);
    assert.match((await scene.ask('nonsense\r\n\r\n')).headers['date']!, IMF_FIXDATE);
  });
});

describe('RFC 9110 §6.5 trailers', () => {
  const scene = new Scene();
  const chunked = (trailers: string): string =>
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Digest\r\n\r\n2\r\nok\r\n0\r\n${trailers}\r\n`;

  test('§6.5.1: what would change how a message is framed, routed or trusted is not a trailer', async () => {
    scene.behaviour = chunked(
      'Digest: 1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.1\r\nLocation: /\r\n',
    );
    const answer = await scene.ask(get());
    assert.deepEqual(answer.trailers, { digest: '1' });
    assert.equal(answer.body.toString(), 'ok');
  });

  test('§6.6.2: the Trailer field passes', async () => {
    scene.behaviour = chunked('Digest: 1\r\n');
    assert.equal((await scene.ask(get())).headers['trailer'], 'Digest');
  });

  test('§6.5.1: trailers of a request pass behind its body', async () => {
    await scene.ask(
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nDigest: 1\r\nAuthorization: x\r\nHost: b\r\n\r\n',
    );
    assert.equal(scene.requests[0]!.body, 'hi');
    assert.deepEqual(scene.requests[0]!.trailers, [['Digest', '1']]);
  });

  test('§6.5: an HTTP/1.0 caller gets the body without them', async () => {
    scene.behaviour = chunked('Digest: 1\r\n');
    const caller = scene.caller().send('GET / HTTP/1.0\r\n\r\n');
    const received = (await caller.end()).toString();
    assert.match(received, /\r\n\r\nok$/);
    assert.doesNotMatch(received, /transfer-encoding/i);
  });

  test('§6.5: more trailers than any sender needs are a broken body', async () => {
    const answer = await scene.ask(
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${'X: y\r\n'.repeat(40)}\r\n`,
    );
    assert.equal(answer.status, 400);
  });
});

describe('RFC 9110 §5 fields', () => {
  const scene = new Scene();

  test('§5.3: fields of one name stay apart and in their order', async () => {
    scene.behaviour = `HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX: 1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok`;
    const caller = scene.caller().send(get('/', 'Accept: a\r\nX: 1\r\nAccept: b\r\n'));
    await caller.answer();
    assert.deepEqual(scene.upstreamField('accept'), ['a', 'b']);
    const second = scene.caller().send(get());
    await scene.until(() => second.received.includes('\r\n\r\nok'), 'the answer is there');
    assert.match(second.received.toString(), /Set-Cookie: a=1\r\nX: 1\r\nSet-Cookie: b=2\r\n/);
  });

  test('§5.5: white space around a value is not part of it, inside it is', async () => {
    await scene.ask(get('/', 'X-Spaced: \t a \t b \t\r\nX-Empty:\r\n'));
    assert.deepEqual(scene.upstreamField('x-spaced'), ['a \t b']);
    assert.deepEqual(scene.upstreamField('x-empty'), ['']);
  });

  test('§5.5: bytes above 127 pass as they are, both ways', async () => {
    scene.behaviour = 'HTTP/1.1 200 OK\r\nX-Name: \xe4\xf6\xff\r\nContent-Length: 0\r\n\r\n';
    const answer = await scene.ask(get('/', 'X-Name: \xe4\xf6\xff\r\n'));
    assert.deepEqual(scene.upstreamField('x-name'), ['\xe4\xf6\xff']);
    assert.equal(answer.headers['x-name'], '\xe4\xf6\xff');
  });

  test('§5.1: the case of a name is kept and means nothing', async () => {
    await scene.ask('POST / HTTP/1.1\r\nhOST: a\r\ncONTENT-lENGTH: 2\r\nx-MiXed: 1\r\n\r\nhi');
    assert.equal(scene.requests[0]!.body, 'hi');
    assert.ok(scene.requests[0]!.fields.some(([name]) => name === 'x-MiXed'));
  });
});

describe('RFC 9110 §7.2 Host', () => {
  const scene = new Scene();
  const forms: { name: string; host: string }[] = [
    { name: 'a name with a port', host: 'a.example:8080' },
    { name: 'a name in capitals', host: 'A.EXAMPLE' },
    { name: 'a name that ends with a dot', host: 'a.example.' },
    { name: 'an IPv4 address', host: '192.0.2.1' },
    { name: 'an IPv6 address', host: '[2001:db8::1]' },
    { name: 'an IPv6 address with a port', host: '[2001:db8::1]:443' },
    { name: 'a port without digits', host: 'a.example:' },
    { name: 'a name with an underscore', host: 'my_service' },
  ];
  for (const { name, host } of forms) {
    test(`§7.2: ${name} is passed on`, async () => {
      assert.equal((await scene.ask(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).status, 200);
      assert.deepEqual(scene.upstreamField('x-forwarded-host'), [host]);
    });
  }
  for (const host of [
    'a:b',
    'a:99999',
    '[::1',
    '::1',
    'a..b',
    '.a',
    'a,b',
    'a%20b',
    '[::g]',
    'a?b',
    'a#b',
    'a\\b',
    '"a"',
  ]) {
    test(`§7.2: ${JSON.stringify(host)} is no host`, async () => {
      assert.equal((await scene.ask(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).status, 400);
      assert.equal(scene.requests.length, 0);
    });
  }

  test('§7.2: HTTP/1.0 may come without one', async () => {
    assert.equal((await scene.ask('GET / HTTP/1.0\r\n\r\n')).status, 200);
    assert.equal(scene.upstreamField('host').length, 1);
  });

  test('§7.2: a request gets exactly one, at its start', async () => {
    await scene.ask(post('x'));
    assert.equal(scene.requests[0]!.fields[0]![0].toLowerCase(), 'host');
    assert.equal(scene.upstreamField('host').length, 1);
  });
});

/** RFC 9113 §8: requests that are malformed never reach an instance, and what is sound arrives as it was meant. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import * as f from '../../../src/data/http2/frames.ts';
import { startTestGateway } from '../../support/gateway.ts';
import { fieldOf, get, Http2Peer, post } from '../../support/http2-peer.ts';
import { suiteScope } from '../../support/scope.ts';
import { httpUpstream, readAll } from '../../support/upstream.ts';

type Pairs = readonly (readonly [string, string])[];

const without = (name: string): Pairs => get('/').filter(([other]) => other !== name);
const changed = (name: string, value: string): Pairs =>
  get('/').map((pair) => (pair[0] === name ? [name, value] : pair));

const REFUSED: readonly { name: string; fields: Pairs; status?: string }[] = [
  { name: '§8.2.1: a capital in a field name', fields: get('/', [['X-A', 'b']]) },
  { name: '§8.2.1: a space in a field name', fields: get('/', [['x a', 'b']]) },
  { name: '§8.2.1: a colon in a field name', fields: get('/', [['x:a', 'b']]) },
  { name: '§8.2.1: an empty field name', fields: get('/', [['', 'b']]) },
  { name: '§8.2.1: CRLF in a value', fields: get('/', [['x-a', 'b\r\nx-role: admin']]) },
  { name: '§8.2.1: LF in a value', fields: get('/', [['x-a', 'b\nx-role: admin']]) },
  { name: '§8.2.1: NUL in a value', fields: get('/', [['x-a', 'b\0']]) },
  { name: '§8.2.1: white space around a value', fields: get('/', [['x-a', ' b']]) },
  { name: '§8.2.1: CRLF in a path', fields: changed(':path', '/ HTTP/1.1\r\nx: y') },
  { name: '§8.2.1: CRLF in a method', fields: changed(':method', 'GET / HTTP/1.1\r\nx: y\r\n') },
  { name: '§8.2.1: CRLF in the authority', fields: changed(':authority', 'a\r\nx: y') },
  { name: '§8.2.2: Connection', fields: get('/', [['connection', 'close']]) },
  { name: '§8.2.2: Keep-Alive', fields: get('/', [['keep-alive', 'timeout=5']]) },
  { name: '§8.2.2: Proxy-Connection', fields: get('/', [['proxy-connection', 'close']]) },
  { name: '§8.2.2: Transfer-Encoding', fields: post('/', [['transfer-encoding', 'chunked']]) },
  { name: '§8.2.2: Upgrade', fields: get('/', [['upgrade', 'websocket']]) },
  { name: '§8.2.2: TE that is not trailers', fields: get('/', [['te', 'gzip']]) },
  { name: '§8.3: a pseudo-field behind a field', fields: [...without(':path'), ['x-a', 'b'], [':path', '/']] },
  { name: '§8.3: an unknown pseudo-field', fields: [[':other', 'x'], ...get('/')] },
  { name: '§8.3: a pseudo-field of responses', fields: [[':status', '200'], ...get('/')] },
  { name: '§8.3.1: no method', fields: without(':method') },
  { name: '§8.3.1: no scheme', fields: without(':scheme') },
  { name: '§8.3.1: no path', fields: without(':path') },
  { name: '§8.3.1: an empty path', fields: changed(':path', '') },
  { name: '§8.3.1: a path that is a whole URI', fields: changed(':path', 'http://b.test/') },
  { name: '§8.3.1: the asterisk for another method than OPTIONS', fields: changed(':path', '*') },
  { name: '§8.3.1: a space in the path', fields: changed(':path', '/a b') },
  { name: '§8.3.1: another scheme', fields: changed(':scheme', 'ftp') },
  { name: '§8.3.1: two paths', fields: [[':path', '/a'], ...get('/')] },
  { name: '§8.3.1: Host that differs from :authority', fields: get('/', [['host', 'b.test']]) },
  { name: '§8.3.1: two Hosts', fields: [...without(':authority'), ['host', 'a.test'], ['host', 'a.test']] },
  { name: '§8.3.1: neither Host nor :authority', fields: without(':authority') },
  { name: '§8.1.1: Content-Length without a body', fields: post('/', [['content-length', '5']]) },
  { name: 'RFC 9110 §8.6: a Content-Length that is no number', fields: post('/', [['content-length', '0x5']]) },
  {
    name: 'two Content-Lengths that differ',
    fields: post('/', [
      ['content-length', '0'],
      ['content-length', '1'],
    ]),
  },
  {
    name: '§8.5: CONNECT',
    fields: [
      [':method', 'CONNECT'],
      [':authority', 'a.test:443'],
    ],
    status: '501',
  },
  {
    name: '§8.5: CONNECT with a path',
    fields: [
      [':method', 'CONNECT'],
      [':authority', 'a.test:443'],
      [':path', '/'],
    ],
  },
  {
    name: 'RFC 8441 §4: another :protocol',
    fields: [[':method', 'CONNECT'], [':protocol', 'ftp'], ...get('/').slice(1)],
    status: '501',
  },
  { name: 'RFC 8441 §4: :protocol without CONNECT', fields: [[':protocol', 'websocket'], ...get('/')] },
  { name: '§10.5.1: fields larger than announced', fields: get('/', [['x-a', 'b'.repeat(9_000)]]), status: '431' },
  {
    name: '§10.5.1: more fields than allowed',
    fields: get(
      '/',
      Array.from({ length: 120 }, (_, i) => [`x-${i}`, 'b'] as const),
    ),
    status: '431',
  },
  { name: 'a path that is too long', fields: changed(':path', `/${'a'.repeat(2_000)}`), status: '414' },
];

describe('RFC 9113 §8', () => {
  const scope = suiteScope();
  let port = 0;
  let seen: { method: string; url: string; headers: string[]; body: string; trailers: string[] }[] = [];
  before(async () => {
    const upstream = await httpUpstream(scope, (request, response) => {
      void readAll(request).then(
        (body) => {
          const { method = '', url = '', rawHeaders, rawTrailers } = request;
          seen.push({ method, url, headers: rawHeaders, body: body.toString('latin1'), trailers: rawTrailers });
          response.setHeader('Keep-Alive', 'timeout=5');
          response.setHeader('Set-Cookie', ['a=1', 'b=2']);
          if (url === '/trailers') {
            response.setHeader('Trailer', 'x-sum');
            response.write('body');
            response.addTrailers({ 'X-Sum': '7', 'Content-Length': '9' });
            response.end();
          } else if (url === '/204') response.writeHead(204).end();
          else if (url === '/hints') {
            response.writeEarlyHints({ link: '</a>; rel=preload' });
            response.end('late');
          } else response.end('ok');
        },
        () => {},
      );
    });
    const gateway = await startTestGateway(scope, {
      gateway: { limits: { maxHeadSize: 8192, maxTargetSize: 1024 } },
      services: { s: { instances: [upstream.url] } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    port = gateway.port;
  });

  for (const { name, fields, status = '400' } of REFUSED) {
    test(`${name} is ${status}, reaches nobody and leaves the connection in order`, async (t) => {
      seen = [];
      const peer = await Http2Peer.connect(t, port);
      peer.headers(1, fields);
      assert.equal((await peer.response(1)).status, status);
      peer.headers(3, get('/fine'));
      assert.equal((await peer.response(3)).status, '200');
      assert.deepEqual(
        seen.map(({ url }) => url),
        ['/fine'],
      );
    });
  }

  test('§8.1.1: a body that is longer than declared never counts as a whole request', async (t) => {
    seen = [];
    const peer = await Http2Peer.connect(t, port);
    peer.headers(1, post('/', [['content-length', '3']]), f.END_HEADERS);
    peer.data(1, '12345', f.END_STREAM);
    await peer.reset(1);
    peer.headers(3, post('/', [['content-length', '3']]), f.END_HEADERS);
    peer.data(3, '12', f.END_STREAM);
    await peer.frame(({ stream, type }) => stream === 3 && type !== f.WINDOW_UPDATE);
    peer.headers(5, get('/fine'));
    await peer.response(5);
    assert.deepEqual(
      seen.map(({ url }) => url),
      ['/fine'],
    );
  });

  test('§8.2.3: crumbs of cookies are one field for the instance', async (t) => {
    seen = [];
    const peer = await Http2Peer.connect(t, port);
    peer.headers(
      1,
      get('/', [
        ['cookie', 'a=1'],
        ['x-a', 'b'],
        ['cookie', 'b=2'],
        ['cookie', 'c=3'],
      ]),
    );
    await peer.response(1);
    const { headers } = seen[0]!;
    assert.equal(headers.filter((name) => name === 'cookie').length, 1);
    assert.equal(headers[headers.indexOf('cookie') + 1], 'a=1; b=2; c=3');
  });

  test('§8.3.1: Host alone, or the same as :authority, is the authority', async (t) => {
    seen = [];
    const peer = await Http2Peer.connect(t, port);
    peer.headers(1, [...without(':authority'), ['host', 'only.test']]);
    peer.headers(3, get('/', [['host', 'a.test']]));
    await Promise.all([peer.response(1), peer.response(3)]);
    assert.deepEqual(seen.map(({ headers }) => headers[1]).sort(), ['a.test', 'only.test']);
  });

  test('§8.2.2: fields of a connection do not come through from an instance, cookies stay apart, names are lower case', async (t) => {
    const peer = await Http2Peer.connect(t, port);
    peer.headers(1, get('/'));
    const { head, body } = await peer.response(1);
    assert.equal(body, 'ok');
    assert.deepEqual(
      head.fields.filter(([name]) => name === 'set-cookie').map(([, value]) => value),
      ['a=1', 'b=2'],
    );
    for (const [name] of head.fields) {
      assert.equal(name, name.toLowerCase());
      assert.doesNotMatch(name, /^(connection|keep-alive|transfer-encoding|upgrade)$/);
    }
  });

  test('§8.1: a body in pieces with trailers, both ways; what may not be a trailer does not pass', async (t) => {
    seen = [];
    const peer = await Http2Peer.connect(t, port);
    peer.headers(1, post('/trailers', [['te', 'trailers']]), f.END_HEADERS);
    peer.data(1, 'one');
    peer.data(1, '');
    peer.data(1, 'two');
    peer.headers(1, [
      ['x-check', '1'],
      ['content-length', '99'],
      ['x-auth-subject', 'root'],
    ]);
    const { body, trailers } = await peer.response(1);
    assert.deepEqual([body, trailers?.fields], ['body', [['x-sum', '7']]]);
    assert.equal(seen[0]!.body, 'onetwo');
    assert.deepEqual(seen[0]!.trailers, ['x-check', '1']);
  });

  test('§8.1: trailers that do not end the request, or hold a pseudo-field, end it', async (t) => {
    const peer = await Http2Peer.connect(t, port);
    peer.headers(1, post('/'), f.END_HEADERS);
    peer.headers(1, [['x-check', '1']], f.END_HEADERS);
    await peer.reset(1);
    peer.headers(3, post('/'), f.END_HEADERS);
    peer.headers(3, [[':path', '/other']]);
    await peer.frame(({ stream, type }) => stream === 3 && type !== f.WINDOW_UPDATE);
    peer.headers(5, get('/'));
    assert.equal((await peer.response(5)).status, '200');
  });

  test('RFC 9110: HEAD and 204 have no body, interim responses come first, a length is kept', async (t) => {
    const peer = await Http2Peer.connect(t, port);
    peer.headers(
      1,
      get('/').map(([name, value]) => (name === ':method' ? [name, 'HEAD'] : [name, value])),
    );
    peer.headers(3, get('/204'));
    peer.headers(5, get('/hints'));
    const [head, none, hints] = await Promise.all([peer.response(1), peer.response(3), peer.response(5)]);
    assert.deepEqual([head.status, head.body, none.status, none.body, hints.body], ['200', '', '204', '', 'late']);
    const interim = peer.frames.find(({ stream, type }) => stream === 5 && type === f.HEADERS)!;
    assert.deepEqual([fieldOf(interim, ':status'), fieldOf(interim, 'link')], ['103', '</a>; rel=preload']);
  });

  test('RFC 9110 §10.1.1: who waits for 100 gets it', async (t) => {
    const peer = await Http2Peer.connect(t, port);
    peer.headers(
      1,
      post('/', [
        ['expect', '100-continue'],
        ['content-length', '4'],
      ]),
      f.END_HEADERS,
    );
    const interim = await peer.frame(({ stream, type }) => stream === 1 && type === f.HEADERS);
    assert.equal(fieldOf(interim, ':status'), '100');
    peer.data(1, 'body', f.END_STREAM);
    assert.equal((await peer.response(1)).status, '200');
  });
});

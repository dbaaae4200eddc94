/**
 * A script learns why its request was refused only when the response says that its page may read it: also where the
 * head was refused before there was a route.
 */
import assert from 'node:assert/strict';
import { before, describe, type TestContext, test } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { Http2Peer } from '../support/http2-peer.ts';
import { RawCaller } from '../support/raw.ts';
import { suiteScope } from '../support/scope.ts';

const PAGE = 'https://app.example';
const OPEN = 'https://open.example';
const LONG = `?q=${'a'.repeat(3_000)}`;
const respond = { status: 200, body: 'ok' };

interface Asked {
  readonly path: string;
  readonly origin: string | null;
  /** Bytes of a cookie, which browsers send last. */
  readonly cookie?: number;
}

interface Heard {
  readonly status: number;
  readonly field: (name: string) => string | undefined;
}

async function http1(t: TestContext, port: number, asked: Asked, pieces = 1): Promise<Heard> {
  const caller = new RawCaller(port);
  t.after(() => caller.socket.destroy());
  const head = [
    `GET ${asked.path} HTTP/1.1`,
    'Host: a.example',
    ...(asked.origin === null ? [] : [`Origin: ${asked.origin}`]),
    ...(asked.cookie === undefined ? [] : [`Cookie: c=${'x'.repeat(asked.cookie)}`]),
    '',
    '',
  ].join('\r\n');
  const step = Math.ceil(head.length / pieces);
  await caller.sendSplit(
    head,
    Array.from({ length: pieces - 1 }, (_, i) => (i + 1) * step),
  );
  const { status, headers } = await caller.answer();
  return { status, field: (name) => headers[name] };
}

async function http2(t: TestContext, port: number, asked: Asked): Promise<Heard> {
  const peer = await Http2Peer.connect(t, port);
  peer.headers(1, [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', asked.path],
    [':authority', 'a.example'],
    ...(asked.origin === null ? [] : [['origin', asked.origin] as const]),
    ...(asked.cookie === undefined ? [] : [['cookie', `c=${'x'.repeat(asked.cookie)}`] as const]),
  ]);
  const { status, head } = await peer.response(1);
  const fields = new Map(head.fields);
  return { status: Number(status), field: (name) => fields.get(name) };
}

const WAYS = [
  ['HTTP/1.1', (t, port, asked) => http1(t, port, asked)],
  ['HTTP/1.1 in pieces', (t, port, asked) => http1(t, port, asked, 5)],
  ['HTTP/2', http2],
] as const satisfies readonly (readonly [string, (t: TestContext, port: number, asked: Asked) => Promise<Heard>])[];

describe('CORS of refused heads', () => {
  const scope = suiteScope();
  let gateway: TestGateway;
  before(async () => {
    gateway = await startTestGateway(scope, {
      gateway: { limits: { maxHeadSize: 8192, maxTargetSize: 1024 }, cors: { origins: [PAGE], credentials: true } },
      routes: [
        { match: { path: '/mine' }, auth: 'public', respond },
        { match: { path: '/open' }, auth: 'public', respond, cors: { origins: '*' } },
        { match: { path: '/other' }, auth: 'public', respond, cors: { origins: [OPEN] } },
        { match: { path: '/none' }, auth: 'public', respond, cors: 'off' },
      ],
    });
  });

  for (const [way, ask] of WAYS) {
    for (const [status, more] of [
      [414, { query: LONG }],
      [431, { query: '', cookie: 7_900 }],
    ] as const) {
      const asked = (path: string, origin: string | null): Asked => ({
        path: `${path}${more.query}`,
        origin,
        ...('cookie' in more && { cookie: more.cookie + 400 }),
      });

      test(`${status} over ${way}: the page of the route, or of the gateway where no route is known, may read it`, async (t) => {
        for (const [path, origin, shared] of [
          ['/mine', PAGE, PAGE],
          ['/nowhere', PAGE, PAGE],
          ['/other', OPEN, OPEN],
          ['/open', PAGE, '*'],
        ] as const) {
          const { status: got, field } = await ask(t, gateway.port, asked(path, origin));
          assert.equal(got, status, path);
          assert.equal(field('access-control-allow-origin'), shared, path);
          assert.equal(field('access-control-allow-credentials'), shared === PAGE ? 'true' : undefined, path);
          assert.match(field('access-control-expose-headers') ?? '', /x-request-id/i, path);
        }
      });

      test(`${status} over ${way}: nobody else may`, async (t) => {
        for (const [path, origin] of [
          ['/mine', 'https://evil.example'],
          ['/mine', null],
          ['/mine', 'null'],
          ['/other', PAGE],
          ['/none', PAGE],
        ] as const) {
          const { status: got, field } = await ask(t, gateway.port, asked(path, origin));
          assert.equal(got, status, path);
          assert.equal(field('access-control-allow-origin'), undefined, `${path} ${origin}`);
          assert.equal(field('vary'), path === '/none' ? undefined : 'Origin', path);
        }
      });
    }
  }

  test('two origins are none', async (t) => {
    const caller = new RawCaller(gateway.port);
    t.after(() => caller.socket.destroy());
    caller.send(`GET /mine${LONG} HTTP/1.1\r\nHost: a\r\nOrigin: ${PAGE}\r\nOrigin: ${PAGE}\r\n\r\n`);
    const { status, headers } = await caller.answer();
    assert.equal(status, 414);
    assert.equal(headers['access-control-allow-origin'], undefined);
  });

  test('a target that never ends is refused when the head is as long as one may be', async (t) => {
    const caller = new RawCaller(gateway.port);
    t.after(() => caller.socket.destroy());
    caller.send(`GET /mine${LONG.repeat(3)}`);
    const { status } = await caller.answer();
    assert.equal(status, 414);
  });
});

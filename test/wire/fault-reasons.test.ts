/**
 * Each fault says its own reason wherever it shows: in the body (where there is one), in the access log and in the
 * metric. Faults that other tests provoke by name are not here; the last test counts that none is left out.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SignJWT } from 'jose';
import { FAULT_REASONS, FAULTS } from '../../src/base/errors.ts';
import * as f from '../../src/data/http2/frames.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { Http2Peer, numbered } from '../support/http2-peer.ts';
import { RawCaller } from '../support/raw.ts';
import { suiteScope } from '../support/scope.ts';
import { readSeries } from '../support/series.ts';
import { until } from '../support/until.ts';
import { deadPort, httpUpstream, rawUpstream } from '../support/upstream.ts';
import { wholeLines } from '../support/whole-lines.ts';

const SECRET = 'a shared secret of more than thirty-two bytes';
const KEY = 'the-key-of-a-user-who-may-read';
const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

interface Row {
  readonly reason: string;
  readonly request: string;
  readonly status: number;
  /** Says nothing in the body: the connection breaks, or the client has gone. */
  readonly withoutBody?: true;
}

const get = (path: string, fields = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;

const ROWS: readonly Row[] = [
  { reason: 'malformed_request', request: 'GET /no-host HTTP/1.1\r\n\r\n', status: 400 },
  { reason: 'uri_too_long', request: get(`/${'x'.repeat(20_000)}`), status: 414 },
  { reason: 'head_too_large', request: get('/large', `X: ${'x'.repeat(70_000)}\r\n`), status: 431 },
  {
    reason: 'unknown_transfer_coding',
    request: 'POST /coded HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n',
    status: 501,
  },
  { reason: 'method_not_implemented', request: 'TRACE /trace HTTP/1.1\r\nHost: a\r\n\r\n', status: 501 },
  { reason: 'version_not_supported', request: 'GET / HTTP/3.0\r\nHost: a\r\n\r\n', status: 505 },
  { reason: 'expectation_failed', request: get('/expects', 'Expect: rain\r\n'), status: 417 },
  { reason: 'head_timeout', request: 'GET /half HTTP/1.1\r\nHost', status: 408 },
  {
    reason: 'loop_detected',
    request: get('/loop', `Via: ${Array.from({ length: 20 }, () => '1.1 gatehouse').join(', ')}\r\n`),
    status: 508,
  },
  { reason: 'method_not_allowed', request: 'DELETE /get-only HTTP/1.1\r\nHost: a\r\n\r\n', status: 405 },
  { reason: 'version_not_acceptable', request: get('/versions', 'X-API-Version: 9\r\n'), status: 406 },
  { reason: 'address_denied', request: get('/denied'), status: 403 },
  { reason: 'authentication_unavailable', request: get('/asked-elsewhere'), status: 503 },
  { reason: 'not_owner', request: get('/owned/bob', `X-API-Key: ${KEY}\r\n`), status: 404 },
  { reason: 'quota_exceeded', request: get('/counted', `X-API-Key: ${KEY}\r\n`), status: 429 },
  { reason: 'limiter_unavailable', request: get('/limited'), status: 503 },
  {
    reason: 'malformed_body',
    request: 'POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    status: 400,
  },
  { reason: 'body_timeout', request: 'POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe', status: 408 },
  { reason: 'upgrade_not_allowed', request: get('/no-websocket', UPGRADE), status: 426 },
  { reason: 'upstream_refused', request: get('/refused'), status: 503 },
  {
    reason: 'upload_cut_off',
    // A part of the upload: the request is never whole.
    request: `POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n${'x'.repeat(1_000_000)}`,
    status: 502,
  },
  { reason: 'downstream_aborted', request: get('/slow'), status: 499, withoutBody: true },
  { reason: 'credential_over', request: '', status: 200, withoutBody: true },
];

describe('faults say their reason', () => {
  const scope = suiteScope();
  let gateway: TestGateway;
  let slowAsked = 0;
  before(async () => {
    const slow = await httpUpstream(scope, (request, response) => {
      if (request.url === '/slow') slowAsked++;
      if (request.url !== '/events') return;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: 1\n\n');
    });
    const reads = await httpUpstream(scope, (request, response) => {
      request.resume().on('end', () => response.end('ok'));
    });
    const cuts = await rawUpstream(scope, (socket) => {
      let taken = 0;
      socket.on('data', (bytes: Buffer) => {
        taken += bytes.length;
        if (taken > 500_000) socket.destroy();
      });
    });
    const refuses = await Http2Peer.serve(scope, (peer) => {
      void (async () => {
        for (let i = 0; ; i++) {
          const { stream } = await peer.request(i);
          peer.send(numbered(f.RST_STREAM, stream, f.REFUSED_STREAM));
        }
      })().catch(() => {});
    });
    const nobody = `http://127.0.0.1:${await deadPort()}`;
    const respond = { status: 200, body: 'ok' };
    const open = { auth: 'public' };
    const apiKey = { keys: [{ key: KEY, subject: 'ada', roles: ['user'] }] };
    const jwt = { issuers: [{ issuer: 'https://idp.example', secret: SECRET, leeway: '0s' }] };
    gateway = await startTestGateway(scope, {
      gateway: {
        accessLog: { file: 'access.log' },
        timeouts: { head: '2s', bodyIdle: '3s' },
      },
      stores: { redis: nobody.replace('http', 'redis') },
      limits: { redis: { fallback: 'closed' } },
      quotas: { small: { per: 'day', limit: 0 } },
      services: {
        slow: { instances: [slow.url], retries: 0 },
        reads: { instances: [reads.url], retries: 0, requestBuffer: 'off' },
        cuts: { instances: [cuts.url], retries: 0, requestBuffer: 'off' },
        refuses: { instances: [refuses.url], protocol: 'h2', retries: 0 },
      },
      routes: [
        { match: { path: '/get-only', methods: ['GET'] }, respond, ...open },
        {
          match: { path: '/versions' },
          version: { name: '1', by: { header: 'X-API-Version' }, default: true },
          respond,
          ...open,
        },
        { match: { path: '/denied' }, respond, ipFilter: { allow: ['192.0.2.0/24'] }, ...open },
        {
          match: { path: '/asked-elsewhere' },
          respond,
          auth: { external: { url: `${nobody}/check`, subject: 'Remote-User' } },
        },
        { match: { path: '/owned/:id' }, respond, auth: { apiKey }, authorize: { owns: 'params.id == auth.sub' } },
        { match: { path: '/counted' }, respond, auth: { apiKey }, quota: 'small' },
        { match: { path: '/limited' }, respond, rateLimit: { by: 'ip', limits: ['100/1m'] }, ...open },
        { match: { path: '/body' }, service: 'reads', ...open },
        { match: { path: '/no-websocket' }, service: 'reads', upgrades: 'off', ...open },
        { match: { path: '/refused' }, service: 'refuses', ...open },
        { match: { path: '/cut' }, service: 'cuts', ...open },
        { match: { path: '/slow' }, service: 'slow', ...open },
        { match: { path: '/events' }, service: 'slow', auth: { jwt } },
      ],
    });
  });

  const counted = async (reason: string): Promise<number> =>
    (await readSeries(gateway.url)).get(`gatehouse_faults_total{reason="${reason}"}`) ?? 0;
  const logged = async (reason: string): Promise<{ readonly status: number }[]> =>
    wholeLines(await readFile(join(gateway.folder, 'access.log'), 'utf8'))
      .map((line) => JSON.parse(line) as { readonly status: number; readonly fault?: string })
      .filter(({ fault }) => fault === reason);

  /** The request whose client goes away, and the stream whose token expires. */
  const others: Readonly<Record<string, () => Promise<void>>> = {
    async downstream_aborted() {
      const before = slowAsked;
      const caller = new RawCaller(gateway.port).send(get('/slow'));
      await until(() => slowAsked > before, 'it is at the service', 30_000);
      caller.close();
    },
    async credential_over() {
      const token = await new SignJWT({})
        .setProtectedHeader({ alg: 'HS256' })
        .setIssuer('https://idp.example')
        .setSubject('ann')
        .setExpirationTime(new Date(Date.now() + 3_000))
        .sign(new TextEncoder().encode(SECRET));
      await new RawCaller(gateway.port).send(get('/events', `Authorization: Bearer ${token}\r\n`)).end();
    },
  };

  for (const { reason, request, status, withoutBody } of ROWS)
    test(`${reason}: in the body, the log and the metric`, async () => {
      const before = await counted(reason);
      if (withoutBody === true) await others[reason]!();
      else {
        const caller = new RawCaller(gateway.port);
        const answer = await caller.send(request).answer();
        caller.close();
        const { message, ...body } = JSON.parse(answer.body.toString()) as Record<string, unknown>;
        assert.deepEqual([answer.status, body['reason']], [status, reason]);
        const kind = Object.values(FAULTS).find((each) => each.reason === reason)!;
        assert.deepEqual([kind.status, kind.code], [status, body['code']]);
        assert.equal(typeof message, 'string');
      }
      await until(async () => (await logged(reason)).length > 0, `${reason} is in the log`, 30_000);
      const [line] = await logged(reason);
      assert.equal(line!.status, status);
      assert.equal((await counted(reason)) - before, 1);
    });
});

test('every reason of the table of faults is named by a test', () => {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const own = fileURLToPath(import.meta.url);
  const texts = ['src', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(test|suite)\.ts$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => path !== own)
      .map((path) => readFileSync(path, 'utf8')),
  );
  const here = new Set(ROWS.map(({ reason }) => reason));
  const all = texts.join('\n');
  assert.deepEqual(
    FAULT_REASONS.filter((reason) => !here.has(reason) && !new RegExp(`\\b${reason}\\b`).test(all)),
    [],
  );
});

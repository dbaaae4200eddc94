/**
 * Callers who make up hosts, paths, methods, fields, tenants, names, keys, subjects and traces: none of their words
 * becomes a label, and no series are made for them.
 */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { request } from 'node:http';
import { it } from 'node:test';
import { WebSocket } from 'ws';
import { startTestGateway } from '../support/gateway.ts';
import { httpCollector } from '../support/otlp-collector.ts';
import { RawCaller } from '../support/raw.ts';
import { readSeries } from '../support/series.ts';
import { until } from '../support/until.ts';
import { httpUpstream, readAll } from '../support/upstream.ts';

/** Of each kind. */
const MANY = 150;
/** In everything that is made up. */
const MARK = 'zqx7';
const SECRET = 'a-secret-of-more-than-thirty-two-bytes-0123';
/** Statuses, results and reasons that the first few requests did not meet: none of them is the caller's word. */
const MORE_ALLOWED = 40;

interface Call {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** Whatever comes back, a refusal included. */
function send(port: number, { path, method = 'GET', headers = {}, body }: Call): Promise<void> {
  return new Promise((resolve) => {
    const call = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      response
        .resume()
        .on('end', resolve)
        .on('error', () => resolve());
    });
    call.on('error', () => resolve()).end(body);
  });
}

function token(name: string): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1_000) + 300;
  const text = `${part({ alg: 'HS256', kid: name })}.${part({ sub: name, plan: name, tenant: name, roles: [name], exp })}`;
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

/** One request of each kind, all with words of this name. */
function callsOf(name: string): Call[] {
  const json = { 'content-type': 'application/json' };
  const bearer = { authorization: `Bearer ${token(name)}` };
  const post = (path: string, headers: Record<string, string> = {}): Call => ({
    path,
    method: 'POST',
    headers: { ...json, ...headers },
    body: `{"${name}":"${name}","username":"${name}","email":"${name}@example.com","password":"${name} 1 long word"}`,
  });
  const identity = ['/login', '/register', `/${name}`, '/refresh'].map((path) => post(`/api/auth${path}`));
  return [
    { path: `/${name}`, headers: { host: `${name}.example` } },
    { path: `/things/${name}`, headers: { host: `${name}.tenants.example` } },
    { path: '/things/1', method: name.toUpperCase() },
    { path: '/api/auth/me', method: name.toUpperCase() },
    { path: `/things/1?${name}=${name}`, headers: { [name]: name, cookie: `${name}=${name}`, 'user-agent': name } },
    {
      path: '/things/1',
      headers: { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, tracestate: `${name}=1` },
    },
    { path: '/limited', headers: { 'x-tenant': name, 'x-forwarded-for': `203.0.113.${name.length}` } },
    { path: '/known', headers: bearer },
    {
      path: '/known',
      headers: { authorization: `${name} ${name}`, 'x-api-key': `${name}-0123456789abcdef0123456789` },
    },
    { path: `/cached/${name}`, headers: { 'accept-language': name } },
    { path: '/packed', headers: { 'accept-encoding': `${name}, gzip` } },
    post('/once', { 'idempotency-key': name }),
    post(`/events/${name}`, { 'ce-type': name }),
    { path: `/events/stream/${name}?after=${name}`, method: name.toUpperCase() },
    post(`/ws/topics/rooms.${name}`, bearer),
    ...identity,
    { path: `/api/v1/usage?account=${name}`, headers: bearer },
    { path: `/metrics?${name}=1` },
    { path: `/docs/${name}` },
  ];
}

it('callers make no series, whatever they make up', { timeout: 240_000 }, async (t) => {
  const collector = await httpCollector(t);
  const upstream = await httpUpstream(t, (incoming, response) => {
    void readAll(incoming).then(() => response.setHeader('cache-control', 'max-age=60').end('x'.repeat(2_000)));
  });
  const route = (path: string, more: object = {}) => ({ match: { path }, service: 'things', auth: 'public', ...more });
  const gateway = await startTestGateway(
    t,
    {
      gateway: {
        trustProxy: ['127.0.0.0/8'],
        tracing: { endpoint: collector.url, ratio: 1 },
        securityEvents: { to: { file: 'security.log' } },
      },
      identity: {
        enabled: true,
        registration: { verifyEmail: 'off' },
        passwords: { memory: '8mb', passes: 1, parallel: 1 },
        firstAdmin: 'off',
      },
      abuse: { exempt: ['127.0.0.0/8'] },
      objectives: { all: { availability: '99.9%' } },
      plans: { standard: { limits: ['100000/1m'], quotas: { stories: 1_000 } } },
      quotas: { stories: { per: 'day' } },
      openapi: {},
      events: {
        streams: { commits: {} },
        hub: { topics: [{ topic: 'rooms.*', publish: 'users', subscribe: 'anyone' }] },
      },
      services: { things: { instances: [upstream.url] } },
      routes: [
        route('/things/*'),
        { ...route('/things/:id'), match: { path: '/things/:id', hosts: ['*.tenants.example'] } },
        route('/limited', { rateLimit: { by: 'header:x-tenant', limits: ['1000/1m'] } }),
        { match: { path: '/known' }, service: 'things', rateLimit: { by: 'user', plan: true }, quota: 'stories' },
        route('/cached/:id', { cache: {} }),
        route('/packed', { compression: { minSize: 1 } }),
        route('/once', { idempotency: {} }),
        {
          match: { path: '/events/:id' },
          publish: { stream: 'commits', subject: 'commits.{params.id}' },
          auth: 'public',
        },
        {
          match: { path: '/events/stream/:id' },
          subscribe: { stream: 'commits', subject: 'commits.{params.id}' },
          auth: 'public',
        },
        { match: { path: '/ws/*' }, builtin: 'realtime', auth: { optional: true }, realtime: { anonymous: true } },
        { match: { path: '/api/v1/usage' }, builtin: 'limits' },
      ],
    },
    { JWT_SECRET: SECRET },
  );
  const flood = async (from: number, count: number): Promise<void> => {
    const names = Array.from({ length: count }, (_, i) => `${MARK}${(from + i).toString(36)}`);
    for (const name of names) {
      await Promise.all(callsOf(name).map((call) => send(gateway.port, call)));
      const bad = new RawCaller(gateway.port).send(`GET /${name} ${name}/9.9\r\nHost: ${name}\r\n\r\n`);
      await bad.end().catch(() => {});
      bad.close();
    }
  };
  const listen = async (name: string): Promise<void> => {
    const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/ws`, 'gatehouse.v1');
    ws.on('open', () => ws.send(JSON.stringify({ type: 'subscribe', topic: `rooms.${name}` })));
    let isHeard = false;
    ws.on('message', () => {
      isHeard = true;
    });
    ws.on('error', () => {});
    await until(() => isHeard, 'the hub responds', 30_000);
    ws.terminate();
  };
  await flood(0, 10);
  await listen(`${MARK}-first`);
  const known = async (): Promise<string[]> => [...(await readSeries(gateway.url)).keys()];
  // Until what threads tell every few seconds is there, too.
  await until(async () => (await known()).some((each) => each.includes('thread="0"')), 'threads are shown', 30_000);
  const before = new Set(await known());
  assert.ok(before.size > 500, `${before.size} series`);
  await flood(10, MANY);
  for (let i = 0; i < 20; i++) await listen(`${MARK}-${i}`);
  const after = await known();
  assert.deepEqual(
    after.filter((each) => each.toLowerCase().includes(MARK)),
    [],
    'words of callers',
  );
  const added = after.filter((each) => !before.has(each));
  assert.ok(added.length <= MORE_ALLOWED, `${added.length} series more:\n${added.join('\n')}`);
});

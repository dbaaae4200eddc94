/**
 * Consumers through a whole gateway: services are called with each event, signed, in order, again when they fail, and
 * by way of their breaker; dead letters are looked at, replayed and dropped, by the command line too.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { commandLine } from '../../src/cli/command-line.suite.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { httpCollector } from '../support/otlp-collector.ts';
import { freePort } from '../support/ports.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream, readAll } from '../support/upstream.ts';

const SECRET = `whsec_${Buffer.from('a key of thirty-two bytes, 012345').toString('base64')}`;
const OLD_SECRET = `whsec_${Buffer.from('another of thirty-two bytes, 0123').toString('base64')}`;
const SOON = 30_000;

interface Got {
  readonly request: IncomingMessage;
  readonly body: string;
}

/** A service that keeps what it gets; the status is what `respond` says, by default 204. */
async function receiver(t: Scope, respond: (got: Got, response: ServerResponse) => number = () => 204) {
  const got: Got[] = [];
  const upstream = await httpUpstream(t, (request, response) => {
    void readAll(request).then((bytes) => {
      const one = { request, body: bytes.toString() };
      got.push(one);
      response.statusCode = respond(one, response);
      response.end('so it is');
    });
  });
  return { got, upstream };
}

async function start(
  t: Scope,
  url: string,
  consumer: object = {},
  service: object = {},
  gateway: Readonly<Record<string, unknown>> = {},
): Promise<TestGateway> {
  return await startTestGateway(t, {
    gateway,
    services: { audit: { instances: [url], ...service } },
    events: {
      streams: { commits: {} },
      consumers: { audit: { stream: 'commits', service: 'audit', path: '/hooks?from=gateway', ...consumer } },
    },
    routes: [
      {
        match: { path: '/commits/:id' },
        publish: { stream: 'commits', subject: 'commits.{params.id}' },
        auth: 'public',
      },
    ],
  });
}

async function publish(gateway: TestGateway, id: string, body: unknown, headers = {}): Promise<void> {
  const response = await fetch(`${gateway.url}/commits/${id}`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
  assert.equal(response.status, 202, await response.text());
}

function cli(gateway: TestGateway, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return cliAt(gateway.folder, ...args);
}

async function cliAt(folder: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const line = commandLine();
  const socket = join(folder, 'gatehouse.sock');
  try {
    return await line.run('events', ...args, '--socket', socket);
  } finally {
    line.remove();
  }
}

test('a service gets each event as a signed CloudEvent, which the library of the scheme accepts', {
  timeout: 60_000,
}, async (t) => {
  const { got, upstream } = await receiver(t);
  const gateway = await start(t, upstream.url, {
    sign: [SECRET, OLD_SECRET],
    headers: { authorization: 'Bearer of-the-service' },
  });
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  await publish(gateway, '42', { hash: '4a1f' }, { traceparent });
  await until(() => got.length === 1, 'the delivery', SOON);
  const { request, body } = got[0]!;
  assert.equal(`${request.method} ${request.url}`, 'POST /hooks?from=gateway');
  assert.equal(request.headers['content-type'], 'application/cloudevents+json; charset=utf-8');
  assert.equal(request.headers['authorization'], 'Bearer of-the-service');
  assert.equal(request.headers['traceparent'], traceparent);
  const headers = request.headers as Record<string, string>;
  for (const secret of [SECRET, OLD_SECRET]) {
    const event = new Webhook(secret).verify(body, headers) as Record<string, unknown>;
    assert.deepEqual(
      [event['subject'], event['data'], event['id']],
      ['commits.42', { hash: '4a1f' }, headers['webhook-id']],
    );
  }
  assert.throws(() => new Webhook(SECRET).verify(body.replace('4a1f', '4a1e'), headers), /signature/i);
});

test('with format data the body is what was published, and the attributes are fields', {
  timeout: 60_000,
}, async (t) => {
  const { got, upstream } = await receiver(t);
  const gateway = await start(t, upstream.url, { format: 'data' });
  const attributes = { 'ce-specversion': '1.0', 'ce-id': 'ä "1"', 'ce-type': 'push', 'ce-source': '/git' };
  const encoded = Object.fromEntries(
    Object.entries(attributes).map(([name, text]) => [name, encodeURIComponent(text)]),
  );
  await publish(gateway, '1', { a: 1 }, encoded);
  await until(() => got.length === 1, 'the delivery', SOON);
  const { request, body } = got[0]!;
  assert.equal(body, '{"a":1}');
  assert.equal(request.headers['content-type'], 'application/json');
  assert.equal(decodeURIComponent(String(request.headers['ce-id'])), 'ä "1"');
  assert.deepEqual([request.headers['ce-type'], request.headers['ce-subject']], ['push', 'commits.1']);
});

test('what fails is tried again in the order of its key, and other keys do not wait for it', {
  timeout: 120_000,
}, async (t) => {
  let isBroken = true;
  const { got, upstream } = await receiver(t, ({ body }) => (isBroken && body.includes('"commits.a"') ? 503 : 204));
  const gateway = await start(t, upstream.url, { backoff: '100ms', maxBackoff: '200ms', attempts: 100 });
  const done = (subject: string): number[] =>
    got.flatMap(({ body }) => {
      const event = JSON.parse(body) as { subject: string; data: { n: number } };
      return event.subject === subject ? [event.data.n] : [];
    });
  for (let n = 0; n < 5; n++) await publish(gateway, 'a', { n });
  for (let n = 0; n < 5; n++) await publish(gateway, 'b', { n });
  await until(() => done('commits.b').length === 5, 'the other key', SOON);
  assert.deepEqual(done('commits.b'), [0, 1, 2, 3, 4]);
  await until(() => done('commits.a').length >= 3, 'more attempts', SOON);
  assert.deepEqual([...new Set(done('commits.a'))], [0], 'those behind it wait');
  isBroken = false;
  const before = done('commits.a').length;
  await until(() => done('commits.a').includes(4), 'the rest', SOON);
  assert.deepEqual(done('commits.a').slice(before), [0, 1, 2, 3, 4]);
});

test('a refused event is a dead letter at once: seen, replayed, dropped, from the command line', {
  timeout: 120_000,
}, async (t) => {
  let isBroken = true;
  const { got, upstream } = await receiver(t, ({ body }) => (isBroken && body.includes('bad') ? 422 : 204));
  const gateway = await start(t, upstream.url);
  await publish(gateway, 'a', 'bad');
  await publish(gateway, 'a', 'good');
  await publish(gateway, 'b', 'bad');
  await until(() => got.length === 3, 'all three', SOON);
  const listed = async (): Promise<{ position: string; subject: string; problem: string }[]> =>
    JSON.parse((await cli(gateway, 'dead', 'audit', '--json')).out || '[]') as never;
  const giveUpMs = performance.now() + SOON;
  while ((await listed()).length < 2) assert.ok(performance.now() < giveUpMs, 'dead letters are listed');
  assert.deepEqual(
    (await listed()).map(({ subject, problem }) => [subject, problem]),
    [
      ['commits.a', 'status 422: so it is'],
      ['commits.b', 'status 422: so it is'],
    ],
  );
  const [first] = await listed();
  const shown = await cli(gateway, 'show', 'audit', first!.position);
  assert.equal((JSON.parse(shown.out) as { data: unknown }).data, 'bad');
  assert.match((await cli(gateway)).out, /audit +commits +audit +here +0 +0 +0 +2 +1/);
  assert.equal((await cli(gateway, 'show', 'audit', '99')).code, 4);
  assert.equal((await cli(gateway, 'replay', 'audit')).code, 2);
  isBroken = false;
  assert.deepEqual(await cli(gateway, 'replay', 'audit', first!.position), { code: 0, out: '1 replayed\n', err: '' });
  await until(() => got.length === 4, 'the replayed one', SOON);
  assert.match(got[3]!.body, /"subject":"commits.a".*"data":"bad"/);
  assert.deepEqual(await cli(gateway, 'drop', 'audit', '--all'), { code: 0, out: '1 dropped\n', err: '' });
  assert.deepEqual(await listed(), []);
  assert.equal(got.length, 4);
});

test('a service that is away costs no attempt: its events wait, and come when it is back', {
  timeout: 120_000,
}, async (t) => {
  const { got, upstream } = await receiver(t);
  const { port } = upstream;
  await upstream.close();
  const gateway = await start(t, upstream.url, { attempts: 1, backoff: '100ms', maxBackoff: '200ms' });
  for (let n = 0; n < 20; n++) await publish(gateway, String(n), { n });
  await until(() => gateway.logged.some((line) => line.includes('a consumer waits for its service')), 'the log', SOON);
  upstream.server.listen(port, '127.0.0.1');
  t.after(() => upstream.close());
  await until(() => got.length >= 20, 'all of them', SOON);
  const subjects = new Set(got.map(({ body }) => (JSON.parse(body) as { subject: string }).subject));
  assert.equal(subjects.size, 20);
  assert.equal((await cli(gateway, 'dead', 'audit')).out, 'no dead letters\n');
});

test('calls go by the breaker of the service: while it is open the service is left alone', {
  timeout: 120_000,
}, async (t) => {
  let isBroken = true;
  const { got, upstream } = await receiver(t, () => (isBroken ? 500 : 204));
  const breaker = { errorThresholdPercentage: 50, volumeThreshold: 3, resetTimeout: '2s' };
  const gateway = await start(
    t,
    upstream.url,
    { backoff: '100ms', maxBackoff: '100ms', attempts: 100, concurrency: 1 },
    { circuitBreaker: breaker },
  );
  await publish(gateway, 'a', 1);
  await until(() => gateway.logged.some((line) => line.includes('"circuit_open"')), 'the breaker', SOON);
  isBroken = false;
  const before = got.length;
  assert.ok(before >= 3, `${before} calls`);
  await until(() => got.length > before, 'a probe that succeeds', SOON);
  assert.equal((await cli(gateway, 'dead', 'audit')).out, 'no dead letters\n');
});

test('a worker that dies in the middle of deliveries loses none of them', { timeout: 120_000 }, async (t) => {
  const waiting: ServerResponse[] = [];
  let isSlow = true;
  const seen = new Set<string>();
  const upstream = await httpUpstream(t, (request, response) => {
    void readAll(request).then((bytes) => {
      const { subject } = JSON.parse(bytes.toString()) as { subject: string };
      if (isSlow) waiting.push(response);
      else {
        seen.add(subject);
        response.writeHead(204).end();
      }
    });
  });
  const gateway = await start(t, upstream.url, { backoff: '100ms', concurrency: 20 });
  for (let n = 0; n < 10; n++) await publish(gateway, String(n), n);
  await until(() => waiting.length === 10, 'all under way', SOON);
  isSlow = false;
  await gateway.primary.workers.terminate(0);
  await until(() => seen.size === 10, 'all of them, from another worker', SOON);
});

test('a gateway that ends and starts again goes on where it was', { timeout: 120_000 }, async (t) => {
  let isBroken = true;
  const { got, upstream } = await receiver(t, ({ body }) => (isBroken && body.includes('commits.late') ? 503 : 204));
  const consumer = { backoff: '300ms', maxBackoff: '300ms', attempts: 100 };
  const one = await start(t, upstream.url, consumer);
  await publish(one, 'late', 1);
  await publish(one, 'late', 2);
  await publish(one, 'soon', 3);
  await until(() => got.length >= 3, 'the first attempts', SOON);
  await one.stop({ timeoutMs: 500 });
  const before = got.length;
  isBroken = false;
  await start(t, upstream.url, consumer, {}, { dataDir: one.folder });
  await until(() => got.slice(before).length >= 2, 'the rest', SOON);
  assert.deepEqual(
    got.slice(before).map(({ body }) => (JSON.parse(body) as { data: number }).data),
    [1, 2],
  );
});

test('a stream that begins anew takes nothing from what was kept of the former one', {
  timeout: 120_000,
}, async (t) => {
  let answer = 400;
  const { got, upstream } = await receiver(t, () => answer);
  const one = await start(t, upstream.url);
  for (const id of ['former-1', 'former-2']) await publish(one, id, id);
  await until(() => got.length === 2, 'both are refused', SOON);
  await one.stop({ timeoutMs: 500 });
  const { DatabaseSync } = await import('node:sqlite');
  const file = readdirSync(one.folder, { recursive: true }).find((name) => String(name).endsWith('.db'))!;
  const database = new DatabaseSync(join(one.folder, String(file)));
  for (const table of ['event_log', 'event_streams']) database.exec(`delete from ${table}`);
  database.close();
  const two = await start(t, upstream.url, {}, {}, { dataDir: one.folder });
  for (const id of ['present-1', 'present-2', 'present-3']) await publish(two, id, id);
  await until(() => got.length === 5, 'each new event arrives', SOON);
  assert.deepEqual(
    got.slice(2).map(({ body }) => (JSON.parse(body) as { data: string }).data),
    ['present-1', 'present-2', 'present-3'],
  );
  const dead = async (): Promise<readonly { subject: string }[]> =>
    JSON.parse((await cliAt(one.folder, 'dead', 'audit', '--json')).out || '[]') as { subject: string }[];
  await until(async () => (await dead()).length === 5, 'five dead letters', SOON);
  answer = 204;
  assert.equal((await cliAt(one.folder, 'replay', 'audit', '--all')).code, 0);
  await until(() => got.length === 10, 'all are delivered again', SOON);
  const again = got.slice(5).map(({ body }) => (JSON.parse(body) as { data: string }).data);
  assert.deepEqual(again.sort(), ['former-1', 'former-2', 'present-1', 'present-2', 'present-3']);
});

test('a stream that begins anew beneath a running gateway takes nothing from what waits for another attempt', {
  timeout: 120_000,
}, async (t) => {
  let answer = 503;
  const { got, upstream } = await receiver(t, () => answer);
  const consumer = { backoff: '300ms', maxBackoff: '300ms', attempts: 100 };
  const one = await start(t, upstream.url, consumer);
  for (const id of ['former-1', 'former-2', 'former-3']) await publish(one, id, id);
  await until(() => got.length >= 3, 'all are tried', SOON);
  const { DatabaseSync } = await import('node:sqlite');
  const file = readdirSync(one.folder, { recursive: true }).find((name) => String(name).endsWith('.db'))!;
  const database = new DatabaseSync(join(one.folder, String(file)));
  database.exec('pragma busy_timeout = 10000; begin immediate');
  for (const table of ['event_log', 'event_streams']) database.exec(`delete from ${table}`);
  database.exec('commit');
  database.close();
  for (const id of ['present-1', 'present-2']) await publish(one, id, id);
  const bodies = (): string[] => got.map(({ body }) => (JSON.parse(body) as { data: string }).data);
  await until(() => bodies().includes('present-2'), 'the new ones are tried', SOON);
  answer = 204;
  const from = got.length;
  const wanted = ['former-1', 'former-2', 'former-3', 'present-1', 'present-2'];
  const since = (): string[] => [...new Set(bodies().slice(from))].sort();
  await until(() => since().length === 5, 'all are delivered', SOON);
  assert.deepEqual(since(), wanted);
});

test('wrong consumers are refused with field, value and expectation', { timeout: 60_000 }, async (t) => {
  const { upstream } = await receiver(t);
  const refused = async (consumer: object, expected: RegExp): Promise<void> => {
    await assert.rejects(start(t, upstream.url, consumer), expected);
  };
  await refused({ stream: 'commit' }, /events\.consumers\.audit\.stream.*"commit".*commits/s);
  await refused({ service: 'adit' }, /events\.consumers\.audit\.service.*"adit".*audit/s);
  await refused({ sign: 'secret' }, /events\.consumers\.audit\.sign/);
  await refused({ headers: { 'webhook-id': 'mine' } }, /events\.consumers\.audit\.headers\.webhook-id/);
  await refused({ headers: { 'x-a': 'b\r\nc: d' } }, /events\.consumers\.audit\.headers\.x-a/);
});

test('each attempt has its line in the access log, with consumer, event and how it ended', {
  timeout: 120_000,
}, async (t) => {
  let calls = 0;
  const { upstream } = await receiver(t, () => (++calls === 1 ? 503 : 204));
  const folder = await mkdtemp(join(tmpdir(), 'gh-deliveries-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'access.log');
  const gateway = await start(t, upstream.url, { backoff: '100ms' }, {}, { accessLog: { file } });
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  await publish(gateway, '1', { n: 1 }, { traceparent });
  const records = () => linesOf(file).filter(({ kind }) => kind === 'delivery');
  await until(() => records().length === 2, 'both attempts are in the log', SOON);
  const [first, second] = records();
  const { event } = first!;
  assert.match(String(event), /^\S+$/);
  for (const one of [first, second]) {
    assert.equal(one!['consumer'], 'audit');
    assert.equal(one!['service'], 'audit');
    assert.equal(one!['instance'], upstream.url);
    assert.equal(one!['event'], event);
    assert.equal(one!['method'], 'POST');
    // The query may hold a secret.
    assert.equal(one!['path'], '/hooks');
    assert.ok(Number(one!['duration_ms']) > 0);
    assert.ok(Number(one!['bytes_in']) > 50);
    assert.equal(one!['trace_id'], '0af7651916cd43dd8448eb211c80319c');
  }
  assert.deepEqual([first!['attempt'], second!['attempt']], [1, 2]);
  assert.deepEqual([first!['status'], second!['status']], [503, 204]);
  assert.equal(first!['bytes_out'], 'so it is'.length);
});

test('an attempt that reaches nobody says why, in logfmt too, with the fields that were chosen', {
  timeout: 120_000,
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gh-deliveries-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'access.log');
  const nobody = `http://127.0.0.1:${await freePort()}`;
  const form = { format: 'logfmt', fields: ['time', 'status', 'fault', 'request_id', 'address'] };
  const gateway = await start(t, nobody, {}, {}, { accessLog: { file }, accessRecords: form });
  await publish(gateway, '1', { n: 1 });
  const lines = () => (existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []);
  const found = () => lines().find((line) => line.includes('kind=delivery'));
  await until(() => found() !== undefined, 'the attempt is in the log', SOON);
  assert.match(found()!, /^time=\S+ status=502 fault=connect_failed kind=delivery consumer=audit event=\S+ attempt=1$/);
});

function linesOf(file: string): Record<string, unknown>[] {
  if (!existsSync(file)) return [];
  const text = readFileSync(file, 'utf8');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('a delivery is in the trace of who published: a span for each attempt, and the service goes on below it', {
  timeout: 120_000,
}, async (t) => {
  const collector = await httpCollector(t);
  let calls = 0;
  const { got, upstream } = await receiver(t, () => (++calls === 1 ? 503 : 204));
  const tracing = { endpoint: collector.url, ratio: 1 };
  const gateway = await start(t, upstream.url, { backoff: '100ms' }, {}, { tracing });
  await publish(gateway, '1', { n: 1 }, {});
  const deliveries = () => collector.spans.filter(({ name }) => name === 'deliver commits');
  const attempts = () => collector.spans.filter(({ kind, name }) => kind === 3 && name === 'POST');
  await until(() => deliveries().length === 2 && attempts().length === 2, 'both attempts are in the trace', SOON);
  const publication = collector.spans.find(({ kind, name }) => kind === 2 && name.startsWith('POST '))!;
  const [first, second] = deliveries().sort((one, other) => one.startMs - other.startMs);
  for (const [index, one] of [first!, second!].entries()) {
    assert.deepEqual([one.traceId, one.parentId, one.kind], [publication.traceId, publication.spanId, 5]);
    const { attributes } = one;
    assert.equal(attributes['messaging.destination.name'], 'commits');
    assert.equal(attributes['messaging.consumer.group.name'], 'audit');
    assert.equal(attributes['messaging.message.id'], got[index]!.request.headers['webhook-id']);
    assert.equal(attributes['gatehouse.delivery.attempt'], index + 1);
    const sent = attempts().find(({ parentId }) => parentId === one.spanId)!;
    assert.equal(sent.attributes['http.request.resend_count'], index === 0 ? undefined : 1);
    assert.equal(got[index]!.request.headers['traceparent'], `00-${one.traceId}-${sent.spanId}-03`);
  }
  assert.deepEqual([first!.status, second!.status], [2, 0]);
});

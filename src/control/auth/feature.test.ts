import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeTimers } from '../../../test/support/fake-timers.ts';
import { createLogger } from '../../base/log.ts';
import type {
  ExternalSettings,
  IntrospectSettings,
  PublishedKeySource,
  PublishedKeysMessage,
} from '../../data/contract/auth.ts';
import type { Snapshot } from '../../data/contract/snapshot.ts';
import type { ControlBus } from '../bus.ts';
import { type AuthCompiled, AuthFeature } from './feature.ts';
import type { OutsideRequest, OutsideResponse } from './http.ts';

/** Keeps what is published last by topic, and asks as a worker would. */
class RecordingBus implements ControlBus {
  readonly published = new Map<string, unknown>();
  readonly #answers = new Map<string, (data: unknown) => unknown>();

  publish(topic: string, data: unknown): void {
    this.published.set(topic, structuredClone(data));
  }

  onTell(): void {}

  onAsk(topic: string, answer: (data: unknown) => unknown): void {
    this.#answers.set(topic, answer);
  }

  async ask(topic: string, data: unknown): Promise<unknown> {
    return await this.#answers.get(topic)!(data);
  }
}

const source = (id: string): PublishedKeySource => ({
  kind: 'published',
  id,
  url: `https://${id}.example/jwks`,
  discovery: null,
  refreshMs: 600_000,
  maxStaleMs: 86_400_000,
  cooldownMs: 30_000,
  timeoutMs: 5_000,
});

let version = 0;

function compiled(parts: { issuers?: readonly string[]; introspect?: string; external?: string }): AuthCompiled {
  const secrets: Record<string, string> = {};
  const { issuers = [], introspect, external } = parts;
  if (introspect !== undefined) {
    const credentials = { kind: 'basic', clientId: 'g w', clientSecret: 'p:w' };
    secrets['i'] = JSON.stringify({ url: introspect, credentials });
  }
  if (external !== undefined) secrets['e'] = external;
  const auth = {
    jwt: issuers.length === 0 ? null : { issuers: issuers.map((id) => ({ keys: source(id) })) },
    introspect:
      introspect === undefined ? null : ({ id: introspect, endpoint: 'i', timeoutMs: 1_000 } as IntrospectSettings),
    external: external === undefined ? null : ({ id: external, endpoint: 'e', timeoutMs: 1_000 } as ExternalSettings),
  };
  // Two routes with the same settings, and one without: what is equal is one thing.
  const routes = [
    { policies: [{ name: 'auth', options: auth }] },
    { policies: [{ name: 'auth', options: auth }] },
    { policies: [] },
  ];
  return { snapshot: { version: ++version, routes } as unknown as Snapshot, secrets };
}

function featureOf(
  answerTo: (request: OutsideRequest) => Partial<OutsideResponse> | Error,
  latest?: () => AuthCompiled,
) {
  const bus = new RecordingBus();
  const timers = new FakeTimers();
  const asked: OutsideRequest[] = [];
  const feature = new AuthFeature({
    bus,
    log: createLogger('silent'),
    clock: timers.clock,
    timers,
    random: () => 0.5,
    ask: async (request) => {
      asked.push(request);
      const answer = answerTo(request);
      if (answer instanceof Error) throw answer;
      return { status: 200, headers: {}, body: '', ...answer };
    },
    ...(latest === undefined ? {} : { latest }),
  });
  const keysOf = () => Object.keys((bus.published.get('auth:jwks') as PublishedKeysMessage | undefined) ?? {});
  return { feature, bus, timers, asked, keysOf };
}

const set = { body: JSON.stringify({ keys: [{ kty: 'EC', kid: 'a' }] }) };

test('publishes the keys of every issuer that a route trusts, each fetched once', async () => {
  const { feature, asked, keysOf } = featureOf(() => set);
  await feature.start(compiled({ issuers: ['a', 'b'] }));
  assert.deepEqual(keysOf().sort(), ['a', 'b']);
  assert.equal(asked.length, 2);
  await feature.stop();
});

test('a reload keeps what stays, starts what is new and drops what is gone', async () => {
  const { feature, asked, keysOf, timers } = featureOf(() => set);
  await feature.start(compiled({ issuers: ['a', 'b'] }));
  feature.applied(compiled({ issuers: ['b', 'c'] }));
  await timers.advance(0);
  assert.deepEqual(keysOf().sort(), ['b', 'c']);
  assert.deepEqual(
    asked.map(({ url }) => new URL(url).host),
    ['a.example', 'b.example', 'c.example'],
  );
  feature.applied(compiled({}));
  assert.deepEqual(keysOf(), []);
  assert.equal(timers.pending, 0);
  await feature.stop();
});

test('an issuer that does not answer holds the start up for three seconds, not longer, and shows in health', async () => {
  const { feature, timers } = featureOf(({ url }) => (url.includes('slow') ? new Error('down') : set));
  await feature.start(compiled({ issuers: ['a', 'slow'] }));
  assert.deepEqual(
    feature.dependencies().map(({ name, available, required }) => [name, available, required]),
    [
      ['issuer a.example', true, false],
      ['issuer slow.example', false, false],
    ],
  );
  assert.deepEqual(
    feature.metrics()[0]?.samples.map(({ value }) => value),
    [1, 0],
  );
  const hanging = featureOf(() => new Promise(() => {}) as never);
  const started = hanging.feature.start(compiled({ issuers: ['hanging'] }));
  await hanging.timers.advance(3_000);
  await started;
  await timers.advance(0);
});

test('answers introspection with its own credentials, and never with a guess', async () => {
  let answer: Partial<OutsideResponse> | Error = { body: '{"active":true,"sub":"alice"}' };
  const { feature, bus, asked } = featureOf(() => answer);
  await feature.start(compiled({ introspect: 'https://op.example/introspect' }));
  const ask = () =>
    bus.ask('auth:introspect', { id: 'https://op.example/introspect', token: 'to+ken', traceparent: null });
  assert.deepEqual(await ask(), { active: true, sub: 'alice' });
  const [request] = asked;
  assert.equal(request?.method, 'POST');
  assert.equal(request?.body, 'token=to%2Bken&token_type_hint=access_token');
  assert.equal(Buffer.from(request?.headers?.['authorization']?.slice(6) ?? '', 'base64').toString(), 'g+w:p%3Aw');
  for (const bad of [
    { status: 401 },
    { status: 500 },
    { body: 'null' },
    { body: '{}' },
    { body: '{"active":"yes"}' },
    { body: 'no' },
    new Error('down'),
  ]) {
    answer = bad;
    await assert.rejects(ask());
  }
});

test('asks an authorizer with the request’s own facts', async () => {
  const { feature, bus, asked } = featureOf(() => ({ status: 403, headers: { a: 'b' }, body: 'no' }));
  await feature.start(compiled({ external: 'https://authz.example/check' }));
  const question = {
    id: 'https://authz.example/check',
    method: 'PUT',
    scheme: 'https',
    host: 'api.example',
    uri: '/a?b=1',
    address: '192.0.2.1',
    requestId: 'r',
    headers: { authorization: 'x' },
    traceparent: null,
  };
  assert.deepEqual(await bus.ask('auth:external', question), { status: 403, headers: { a: 'b' }, body: 'no' });
  assert.deepEqual(asked[0]?.headers, {
    authorization: 'x',
    'x-forwarded-method': 'PUT',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'api.example',
    'x-forwarded-uri': '/a?b=1',
    'x-forwarded-for': '192.0.2.1',
    'x-request-id': 'r',
  });
});

test('a request of the configuration before still gets its answer; of the one before that, not', async () => {
  const { feature, bus } = featureOf(() => ({ status: 200 }));
  await feature.start(compiled({ external: 'https://old.example' }));
  const ask = () => bus.ask('auth:external', { id: 'https://old.example', headers: {} });
  feature.applied(compiled({ external: 'https://new.example' }));
  await ask();
  feature.applied(compiled({}));
  await assert.rejects(ask(), /not configured any more/);
});

test('a worker that is a moment ahead of this thread is caught up with', async () => {
  const next = compiled({ external: 'https://new.example', issuers: ['new'] });
  const { feature, bus, keysOf } = featureOf(
    () => ({ ...set, status: 200 }),
    () => next,
  );
  await feature.start(compiled({}));
  await bus.ask('auth:external', { id: 'https://new.example', headers: {} });
  assert.equal(await bus.ask('auth:jwks-refresh', { id: 'new', kid: 'a' }), true, 'waits for its first fetch');
  assert.deepEqual(keysOf(), ['new']);
  await feature.stop();
});

test('a question about an issuer that nobody knows is answered, not left open', async () => {
  const { bus } = featureOf(() => set);
  assert.equal(await bus.ask('auth:jwks-refresh', { id: 'nobody', kid: 'x' }), false);
});

/**
 * The AsyncAPI documents of a configuration: valid by the schema of AsyncAPI itself, every channel is in the one of its
 * audience, every reference leads somewhere, no secret is there.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import type { Audience } from '../audience.ts';
import { asyncApiDocument, type Described } from './asyncapi.ts';
import { streamSettings } from './engines/engine.suite.ts';

/** The official JSON Schema of AsyncAPI 3.0, with those of its bindings. */
const OFFICIAL = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0.json') as object;
const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true, meta: false, validateSchema: false });
const isValid = ajv.compile(OFFICIAL);
const REACHED = { host: 'api.example.com', isSecure: true };

const NOBODY = { audience: 'public', security: [], schemes: {}, bodySchema: null } as const;
const KNOWN = {
  audience: 'signed-in',
  security: [{ bearer: [] }, { apiKey: [] }, { certificate: [] }],
  schemes: {
    bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
    apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
    certificate: { type: 'mutualTLS' },
  },
  bodySchema: null,
} as const;
const COMMIT = { type: 'object', required: ['hash'], properties: { hash: { type: 'string' } } };
const channel = { stream: 'commits', subject: 'commits.{params.id}', key: null, proof: 'p' };
const DESCRIBED: Described = {
  name: 'shop',
  version: '1.2.3',
  streams: [streamSettings({ name: 'commits', subjects: ['commits.>'] })],
  routes: {
    'POST /commits/:id': {
      ...KNOWN,
      bodySchema: COMMIT,
      kind: 'publish',
      path: '/commits/:id',
      methods: ['POST'],
      settings: { ...channel, body: 'json', idempotencyKey: 'required' },
    },
    '/events/*': {
      ...NOBODY,
      kind: 'subscribe',
      path: '/events/*',
      methods: [],
      settings: { ...channel, subject: '>', format: 'cloudevent' },
    },
    '/log': {
      ...NOBODY,
      kind: 'publish',
      path: '/log',
      methods: ['GET', 'POST', 'PUT', 'DELETE'],
      settings: { ...channel, body: 'any', idempotencyKey: 'optional' },
    },
    '/raw': {
      ...KNOWN,
      audience: 'admin',
      kind: 'subscribe',
      path: '/raw',
      methods: [],
      settings: { ...channel, subject: '>', format: 'data' },
    },
    '/ws/*': { ...KNOWN, kind: 'hub', path: '/ws/*', methods: [], settings: {} },
  },
  consumers: [
    {
      name: 'audit',
      stream: 'commits',
      subjects: ['>'],
      service: 'audit',
      method: 'POST',
      path: '/hooks',
      format: 'cloudevent',
      headers: [['authorization', 'a-secret-token']],
      secrets: ['whsec_a-secret-key'],
      order: 'key',
      concurrency: 1,
      timeoutMs: 1,
      attempts: 1,
      backoffMs: 1,
      maxBackoffMs: 1,
      from: 'now',
      keepDeadMs: 1,
    },
  ],
  hub: {
    topics: [{ topic: 'rooms.*', join: false, subscribe: 'users', publish: 'users', presence: true }],
    engine: 'embedded',
    authTimeoutMs: 1,
    ticketTtlMs: 1,
    heartbeatMs: 1,
    maxMessageBytes: 1,
    limits: { connections: 1, topics: 1, messagesPerSecond: 1 },
    plans: {},
  },
};

interface Document {
  readonly asyncapi: string;
  readonly servers: Readonly<Record<string, { readonly host: string; readonly protocol: string }>>;
  readonly channels: Readonly<
    Record<string, { readonly address: string; readonly messages: Readonly<Record<string, { payload: unknown }>> }>
  >;
  readonly operations: Readonly<
    Record<string, { readonly action: string; readonly channel: { readonly $ref: string }; security?: unknown }>
  >;
}
const documentFor = (audience: Audience, of = DESCRIBED): Document =>
  asyncApiDocument(of, audience, REACHED) as unknown as Document;

for (const audience of ['public', 'signed-in', 'admin'] as const)
  test(`the document for ${audience} is valid by the schema of AsyncAPI`, () => {
    assert.ok(isValid(documentFor(audience)), JSON.stringify(isValid.errors?.slice(0, 5)));
    // The schema looks into everything that is there.
    const [first = ''] = Object.keys(documentFor(audience).channels);
    for (const [path, value] of [
      ['servers.http', { protocol: 'http' }],
      [`channels.${first}`, { address: 7 }],
      [`channels.${first}.messages.event`, { payload: {}, colour: 'red' }],
      ['operations.send-events', { channel: { $ref: '#/channels/events' } }],
      ['operations.send-events.bindings', { http: { method: 'FETCH' } }],
      ['components.securitySchemes', { a: { type: 'apiKey', in: 'nowhere' } }],
    ] as const) {
      const wrong = structuredClone(documentFor(audience)) as unknown as Record<string, unknown>;
      const parts = path.split('.');
      const last = parts.pop()!;
      let at = wrong;
      for (const part of parts) at = at[part] as Record<string, unknown>;
      at[last] = value;
      assert.ok(!isValid(wrong), `${path} is refused`);
    }
    const empty = { ...DESCRIBED, routes: {}, consumers: [], hub: null, streams: [] };
    assert.ok(isValid(documentFor(audience, empty)), JSON.stringify(isValid.errors?.slice(0, 5)));
  });

test('every route, the hub and each consumer are channels, each for whom it is', () => {
  const channels = (audience: Audience) => Object.keys(documentFor(audience).channels);
  assert.deepEqual(channels('public'), ['events', 'events-websocket', 'log']);
  const known = ['POST-commits-id', 'events', 'events-websocket', 'log', 'ws', 'ws-events', 'ws-topic'];
  assert.deepEqual(channels('signed-in'), known);
  const document = documentFor('admin');
  assert.equal(document.asyncapi, '3.0.0');
  assert.deepEqual(
    Object.entries(document.channels).map(([id, { address }]) => [id, address]),
    [
      ['POST-commits-id', '/commits/{id}'],
      ['events', '/events'],
      ['events-websocket', '/events'],
      ['log', '/log'],
      ['raw', '/raw'],
      ['raw-websocket', '/raw'],
      ['ws', '/ws'],
      ['ws-events', '/ws'],
      ['ws-topic', '/ws/topics/{topic}'],
      ['consumer-audit', '/hooks'],
    ],
  );
  assert.deepEqual(
    Object.values(document.operations).map(({ action, channel: { $ref } }) => `${action} ${$ref}`),
    [
      'receive #/channels/POST-commits-id',
      'send #/channels/events',
      'send #/channels/events-websocket',
      'receive #/channels/events-websocket',
      'receive #/channels/log',
      'receive #/channels/log',
      'send #/channels/raw',
      'send #/channels/raw-websocket',
      'receive #/channels/raw-websocket',
      'send #/channels/ws',
      'receive #/channels/ws',
      'send #/channels/ws-events',
      'receive #/channels/ws-topic',
      'send #/channels/consumer-audit',
    ],
  );
});

test('servers, security and the schemas of routes are in it', () => {
  const { servers, operations, channels } = documentFor('admin');
  assert.deepEqual(
    Object.entries(servers).map(([name, { host, protocol }]) => [name, host, protocol]),
    [
      ['http', 'api.example.com', 'https'],
      ['websocket', 'api.example.com', 'wss'],
      ['service-audit', 'audit', 'http'],
    ],
  );
  assert.deepEqual(operations['receive-POST-commits-id']?.security, [
    { $ref: '#/components/securitySchemes/bearer' },
    { $ref: '#/components/securitySchemes/apiKey' },
    { $ref: '#/components/securitySchemes/certificate' },
  ]);
  assert.equal(operations['send-events']?.security, undefined);
  assert.deepEqual(channels['POST-commits-id']?.messages['data']?.payload, {
    schemaFormat: 'application/schema+json;version=draft-2020-12',
    schema: COMMIT,
  });
  // Another route publishes to the stream what it likes.
  assert.ok(!JSON.stringify(channels['raw']?.messages['event']).includes('hash'));
  const alone = { ...DESCRIBED, routes: { a: DESCRIBED.routes['POST /commits/:id']!, b: DESCRIBED.routes['/raw']! } };
  assert.ok(JSON.stringify(documentFor('admin', alone).channels['b']?.messages['event']).includes('hash'));
});

test('every reference leads somewhere, no secret is in it, and no service behind the gateway unless for administrators', () => {
  for (const audience of ['public', 'signed-in', 'admin'] as const) {
    const document = documentFor(audience);
    const text = JSON.stringify(document);
    for (const [, reference] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      let at: unknown = document;
      for (const part of (reference ?? '').split('/')) at = (at as Record<string, unknown>)[part];
      assert.equal(typeof at, 'object', `#/${reference}`);
    }
    assert.doesNotMatch(text, /secret-token|secret-key/);
    assert.equal(/hooks|audit/.test(text), audience === 'admin');
  }
});

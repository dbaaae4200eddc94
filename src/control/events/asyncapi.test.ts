/** The AsyncAPI document of a configuration: every channel is in it, every reference leads somewhere, no secret is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asyncApiDocument, type Described } from './asyncapi.ts';
import { streamSettings } from './engines/engine.suite.ts';

const channel = { stream: 'commits', subject: 'commits.{params.id}', key: null, proof: 'p' };
const DESCRIBED: Described = {
  name: 'shop',
  version: '1.2.3',
  streams: [streamSettings({ name: 'commits', subjects: ['commits.>'] })],
  routes: {
    'POST /commits/:id': {
      kind: 'publish',
      path: '/commits/:id',
      methods: ['POST'],
      settings: { ...channel, body: 'json', idempotencyKey: 'required' },
    },
    '/events/*': {
      kind: 'subscribe',
      path: '/events/*',
      methods: [],
      settings: { ...channel, subject: '>', format: 'cloudevent' },
    },
    '/ws/*': { kind: 'hub', path: '/ws/*', methods: [], settings: {} },
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
  readonly channels: Readonly<Record<string, { readonly address: string; readonly messages: object }>>;
  readonly operations: Readonly<
    Record<string, { readonly action: string; readonly channel: { readonly $ref: string } }>
  >;
}

test('every route, the hub and each consumer are channels, with what is sent and received on them', () => {
  const document = asyncApiDocument(DESCRIBED) as unknown as Document;
  assert.equal(document.asyncapi, '3.0.0');
  assert.deepEqual(
    Object.entries(document.channels).map(([id, { address }]) => [id, address]),
    [
      ['POST-commits-id', '/commits/{id}'],
      ['events', '/events'],
      ['ws', '/ws'],
      ['consumer-audit', '/hooks'],
    ],
  );
  assert.deepEqual(
    Object.values(document.operations).map(({ action, channel: { $ref } }) => `${action} ${$ref}`),
    [
      'receive #/channels/POST-commits-id',
      'send #/channels/events',
      'send #/channels/ws',
      'receive #/channels/ws',
      'send #/channels/consumer-audit',
    ],
  );
});

test('every reference leads somewhere, and no secret is in it', () => {
  const document = asyncApiDocument(DESCRIBED);
  const text = JSON.stringify(document);
  for (const [, reference] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    let at: unknown = document;
    for (const part of (reference ?? '').split('/')) at = (at as Record<string, unknown>)[part];
    assert.equal(typeof at, 'object', `#/${reference}`);
  }
  assert.doesNotMatch(text, /secret-token|secret-key/);
});

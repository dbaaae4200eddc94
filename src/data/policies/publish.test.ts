import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PreparedIdentity } from '../auth/identity.ts';
import { noHeaders } from '../auth/identity-headers.ts';
import type { PublishSettings } from '../contract/events.ts';
import { subjectTemplateProblem } from './event-channel.ts';
import { publishSchema } from './publish.options.ts';
import { publish } from './publish.ts';
import { createPolicy, type ExchangeFacts, RecordingExchange, testEnvironment } from './testing.ts';

const SETTINGS: PublishSettings = {
  stream: 'commits',
  subject: 'commits.{params.id}',
  key: null,
  body: 'any',
  type: '',
  source: '/commits',
  maxBytes: 1_000,
  ackTimeoutMs: 1_000,
  outbox: false,
  idempotencyKey: 'optional',
  keysForMs: 1_000,
};

function run(settings: Partial<PublishSettings>, facts: ExchangeFacts) {
  const exchange = new RecordingExchange(facts);
  const hooks = publish.create({ ...SETTINGS, ...settings }, testEnvironment());
  const outcome = hooks.requestHead?.(exchange);
  return { outcome, call: exchange.channel };
}

test('the bridge is told the subject, the key and who calls', () => {
  const identity = new PreparedIdentity(
    { method: 'jwt', subject: 'ada, "é"', roles: [], scopes: [], plan: 'basic' },
    { exp: 12_345 },
    noHeaders,
  );
  const { call } = run({ key: '{auth.sub}' }, { params: { id: 'a.b>' }, identity, address: '192.0.2.7' });
  const { route: _, ...rest } = call!;
  assert.deepEqual(rest, {
    subject: 'commits.a%2Eb%3E',
    key: 'ada%2C%20%22%C3%A9%22',
    caller: 'ada, "é"',
    account: 'ada, "é"',
    plan: 'basic',
    expires: 12_345,
    address: '192.0.2.7',
  });
});

test('a request whose placeholder has no value is refused', () => {
  const { outcome, call } = run({ subject: 'users.{auth.sub}' }, {});
  assert.equal((outcome as { kind?: { status: number } }).kind?.status, 403);
  assert.equal(call, null);
});

test('subjects are checked when they are written', () => {
  for (const bad of ['a.{x', 'a.{}', 'a..{params.x}', 'a b', 'a.*']) {
    assert.notEqual(subjectTemplateProblem(bad, false), undefined, bad);
  }
  assert.equal(subjectTemplateProblem('a.{params.x}.{auth.sub}', false), undefined);
});

test('bad options name the key', () => {
  const rows: [options: object, key: string][] = [
    [{}, 'stream'],
    [{ stream: 'no blanks' }, 'stream'],
    [{ stream: 'a', subject: 'a.>' }, 'subject'],
    [{ stream: 'a', maxSize: '100mb' }, 'maxSize'],
    [{ stream: 'a', ackTimeout: '1h' }, 'ackTimeout'],
  ];
  for (const [options, key] of rows) {
    const { error } = publishSchema.safeParse(options);
    assert.equal(error?.issues[0]?.path[0], key, JSON.stringify(options));
  }
});

test('it does its work once the snapshot is built', () => {
  assert.equal(typeof createPolicy(publish, SETTINGS).requestHead, 'function');
});

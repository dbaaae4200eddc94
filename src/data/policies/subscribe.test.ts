import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SubscribeSettings } from '../contract/events.ts';
import { subscribeSchema } from './subscribe.options.ts';
import { subscribe } from './subscribe.ts';
import { RecordingExchange, testEnvironment } from './testing.ts';

const SETTINGS: SubscribeSettings = {
  stream: 'commits',
  subject: 'commits.{params.id}.>',
  key: null,
  from: 'now',
  format: 'cloudevent',
  heartbeatMs: 15_000,
  retryMs: 2_000,
  slow: 'catch-up',
  maxPerCaller: 20,
  origins: [],
};

test('a value cannot widen the pattern', () => {
  for (const [value, part] of [
    ['42', '42'],
    ['>', '%3E'],
    ['*', '%2A'],
    ['a.>', 'a%2E%3E'],
  ] as const) {
    const exchange = new RecordingExchange({ params: { id: value } });
    subscribe.create(SETTINGS, testEnvironment()).requestHead?.(exchange);
    assert.equal(exchange.channel?.subject, `commits.${part}.>`);
  }
});

test('wildcards are for patterns, in their places', () => {
  for (const subject of ['a.*', 'a.>', '>', 'a.{auth.sub}.*']) {
    assert.equal(subscribeSchema.safeParse({ stream: 'a', subject }).success, true, subject);
  }
  for (const subject of ['a.>.b', 'a*', 'a..b', '']) {
    assert.equal(subscribeSchema.safeParse({ stream: 'a', subject }).success, false, subject);
  }
});

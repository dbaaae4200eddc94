import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type TopicRule, topicFor } from './rights.ts';

const rule = (topic: string): TopicRule => ({
  topic,
  join: true,
  subscribe: 'users',
  publish: 'nobody',
  presence: false,
});

test('a topic by account is another one for an equal subject of another issuer', () => {
  const more = { plan: 'pro', roles: [], scopes: [] };
  const own = { user: 'ada', account: 'ada', ...more };
  const outside = { user: 'ada', account: 'https://b.example|ada', ...more };
  const nobody = { user: null, account: null, ...more };
  assert.equal(topicFor(rule('of.{auth.account}.>'), own), 'of.ada.>');
  assert.notEqual(topicFor(rule('of.{auth.account}.>'), outside), 'of.ada.>');
  assert.equal(topicFor(rule('of.{auth.account}.>'), outside)!.split('.').length, 3);
  assert.equal(topicFor(rule('of.{auth.sub}.{ auth.plan }'), outside), 'of.ada.pro');
  assert.equal(topicFor(rule('of.{auth.account}'), nobody), null);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSecretKey, showValue } from './secrecy.ts';

const secret = [
  ['services', 'a', 'sticky', 'key'],
  ['identity', 'tokens', 'secret'],
  ['registry', 'token'],
  ['registry', 'tokens', 0],
  ['routes', 0, 'auth', 'apiKey', 'value'],
  ['routes', 0, 'respond', 'headers', 'Set-Cookie'],
  ['stores', 'password'],
];
const open = [
  ['services', 'token-service', 'timeout'],
  ['gateway', 'port'],
  ['routes', 0, 'match', 'path'],
  ['services', 'a', 'instances', 0, 'url'],
];

for (const path of secret) {
  test(`a value at ${path.join('.')} is taken for a secret`, () => assert.equal(isSecretKey(path), true));
}
for (const path of open) {
  test(`a value at ${path.join('.')} is shown`, () => assert.equal(isSecretKey(path), false));
}

const shown: readonly { value: unknown; want: string }[] = [
  { value: 'postgres://admin:hunter2@db:5432/x', want: '"postgres://***@db:5432/x"' },
  { value: 'redis://:p@ss@host', want: '"redis://***@host"' },
  { value: '-----BEGIN PRIVATE KEY-----\nabc', want: 'a PEM text' },
  { value: { a: 1 }, want: 'a mapping' },
  { value: [1], want: 'a list' },
  { value: [], want: 'an empty list' },
  { value: null, want: 'null' },
  { value: undefined, want: 'nothing' },
  { value: true, want: 'true' },
  { value: 12n, want: 'a bigint' },
  { value: 'x'.repeat(100), want: `"${'x'.repeat(60)}…"` },
];

for (const { value, want } of shown) {
  test(`a message shows ${want}`, () => assert.equal(showValue(value), want));
}

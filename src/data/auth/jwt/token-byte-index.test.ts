import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../../base/clock.ts';
import type { FieldRange } from '../../contract/policy.ts';
import { RecordingExchange } from '../../policies/testing.ts';
import { TokenByteIndex } from './token-byte-index.ts';
import { MAX_CACHE_MS, TokenCache } from './token-cache.ts';

const FAR = Number.POSITIVE_INFINITY;

/** An exchange whose head is bytes, with the field somewhere in the middle. */
class BytesExchange extends RecordingExchange {
  readonly #text: string;

  constructor(text: string) {
    super({ headers: { authorization: text } });
    this.#text = text;
  }

  authorizationAt(out: FieldRange): boolean {
    out.bytes = Buffer.from(`GET / HTTP/1.1\r\nAuthorization: ${this.#text}\r\n\r\n`, 'latin1');
    out.view = null;
    out.start = 31;
    out.end = 31 + this.#text.length;
    return true;
  }
}

function setUp(mostEntries = 100) {
  const clock = new FakeClock();
  const cache = new TokenCache<{ readonly name: string; readonly validUntilMs: number }>(clock, 1_000);
  const front = new TokenByteIndex(cache, mostEntries);
  const learn = (text: string, expiresAtMs = FAR): void => {
    const entry = { name: text, validUntilMs: cache.validUntilMs(clock.wallMs(), expiresAtMs) };
    cache.set(text, entry);
    front.remember(new BytesExchange(text), entry);
  };
  const find = (text: string) => front.get(new BytesExchange(text), clock.wallMs())?.name;
  return { clock, cache, front, learn, find };
}

const token = (n: number): string => `Bearer ${'header'.repeat(4)}.payload-${n}.${'signature'.repeat(4)}-${n}`;

test('a token is found by its bytes, and only the whole token', () => {
  const { learn, find } = setUp();
  learn(token(1));
  assert.equal(find(token(1)), token(1));
  assert.equal(find(token(2)), undefined);
  for (let i = 0; i < token(1).length; i++) {
    const changed = `${token(1).slice(0, i)}!${token(1).slice(i + 1)}`;
    assert.equal(find(changed), undefined, `character ${i} was not looked at`);
  }
  assert.equal(find(`${token(1)}x`), undefined);
  assert.equal(find(`x${token(1)}`), undefined);
  assert.equal(find(token(1).slice(1)), undefined);
});

test('tokens with the same end are told apart', () => {
  const { learn, find } = setUp();
  const [one, other] = [`Bearer one.${'z'.repeat(60)}`, `Bearer two.${'z'.repeat(60)}`];
  learn(one);
  assert.equal(find(other), undefined);
  learn(other);
  assert.equal(find(other), other);
  assert.notEqual(find(one), other);
});

test('it forgets when the token cache does: by age, revocation, change of keys', () => {
  for (const forget of ['age', 'drop', 'clear'] as const) {
    const { clock, cache, learn, find } = setUp();
    learn(token(1));
    if (forget === 'age') clock.advance(MAX_CACHE_MS);
    if (forget === 'drop') cache.drop(({ name }) => name === token(1));
    if (forget === 'clear') cache.clear();
    assert.equal(find(token(1)), undefined, forget);
  }
});

test('a token counts until it expires, and not longer when the time of day steps back', () => {
  const { clock, cache, learn, find } = setUp();
  learn(token(1), clock.wallMs() + 1_000);
  learn(token(2));
  clock.advance(1_000);
  assert.equal(find(token(1)), undefined);
  assert.equal(find(token(2)), token(2));
  clock.stepWall(-3_600_000);
  clock.advance(MAX_CACHE_MS);
  cache.turn();
  assert.equal(find(token(2)), undefined);
});

test('it is bounded', () => {
  const { learn, find } = setUp(10);
  for (let n = 0; n < 25; n++) learn(token(n));
  assert.equal(find(token(24)), token(24));
  assert.equal(find(token(0)), undefined);
});

test('short texts and exchanges without bytes are left to the token cache', () => {
  const { front, learn, find } = setUp();
  learn('Bearer short');
  assert.equal(find('Bearer short'), undefined);
  const exchange = new RecordingExchange({ headers: { authorization: token(1) } });
  front.remember(exchange, { name: 'x', validUntilMs: FAR });
  assert.equal(front.get(exchange, 0), undefined);
});

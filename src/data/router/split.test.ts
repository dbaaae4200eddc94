/** Traffic splits: weights, rules, and the cookie that keeps a caller where it was. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SplitSettings } from '../contract/snapshot.ts';
import { compileSplit, type SplitRequest } from './split.ts';

const TARGETS = [
  { service: 'stable', weight: 90 },
  { service: 'canary', weight: 10 },
];
const PLAIN: SplitSettings = { headers: [], cookies: [], stickyCookie: null };

class Asked implements SplitRequest {
  scheme: 'http' | 'https' = 'http';
  readonly headers: Record<string, string>;
  readonly cookies: Record<string, string>;
  readonly added: string[] = [];

  constructor(headers: Record<string, string> = {}, cookies: Record<string, string> = {}) {
    this.headers = headers;
    this.cookies = cookies;
  }

  header(name: string): string | null {
    return this.headers[name] ?? null;
  }

  cookie(name: string): string | null {
    return this.cookies[name] ?? null;
  }

  addResponseHeader(name: string, value: string): void {
    this.added.push(`${name}: ${value}`);
  }
}

/** Goes evenly through [0, 1). */
function even(steps: number): () => number {
  let step = 0;
  return () => (step++ % steps) / steps;
}

test('weights are shares', () => {
  const rows: { weights: number[]; want: number[] }[] = [
    { weights: [90, 10], want: [900, 100] },
    { weights: [1, 1, 2], want: [250, 250, 500] },
    { weights: [0, 5, 0], want: [0, 1_000, 0] },
    { weights: [0.5, 1.5], want: [250, 750] },
    { weights: [7], want: [1_000] },
  ];
  for (const { weights, want } of rows) {
    const targets = weights.map((weight, at) => ({ service: `s${at}`, weight }));
    const choose = compileSplit(targets, null, even(1_000));
    const counts = weights.map(() => 0);
    for (let round = 0; round < 1_000; round++) counts[choose(new Asked())]!++;
    assert.deepEqual(counts, want, weights.join());
  }
  assert.equal(compileSplit(TARGETS, null, () => 1 - Number.EPSILON / 2)(new Asked()), 1);
});

test('a header field goes before a cookie, and both before the weights', () => {
  const choose = compileSplit(
    TARGETS,
    {
      headers: [{ name: 'x-canary', value: 'yes', service: 'canary' }],
      cookies: [{ name: 'ring', value: 'outer', service: 'stable' }],
      stickyCookie: null,
    },
    () => 0.95,
  );
  assert.equal(choose(new Asked({ 'x-canary': 'yes' }, { ring: 'outer' })), 1);
  assert.equal(choose(new Asked({ 'x-canary': 'no' }, { ring: 'outer' })), 0);
  assert.equal(choose(new Asked({ 'x-canary': 'YES' }, { ring: 'inner' })), 1);
});

test('the sticky cookie keeps a caller, says nothing of the name, and survives a reload in another order', () => {
  const settings = { ...PLAIN, stickyCookie: { name: 'side', ttlSeconds: 60 } };
  const first = new Asked();
  assert.equal(compileSplit(TARGETS, settings, () => 0.95)(first), 1);
  assert.match(first.added.join(), /^Set-Cookie: side=[0-9a-f]{8}; Path=\/; Max-Age=60; HttpOnly; SameSite=Lax$/);
  const value = /side=([^;]+)/.exec(first.added[0]!)![1]!;

  const again = new Asked({}, { side: value });
  assert.equal(compileSplit(TARGETS, settings, () => 0)(again), 1);
  assert.deepEqual(again.added, []);
  assert.equal(compileSplit([...TARGETS].reverse(), settings, () => 0.99)(new Asked({}, { side: value })), 0);

  const forged = new Asked({}, { side: 'x' });
  assert.equal(compileSplit(TARGETS, settings, () => 0)(forged), 0);
  assert.equal(forged.added.length, 1);
});

test('over TLS the cookie is Secure, and a rule sets none', () => {
  const settings = {
    headers: [{ name: 'h', value: '1', service: 'canary' }],
    cookies: [],
    stickyCookie: { name: 'side', ttlSeconds: 60 },
  };
  const choose = compileSplit(TARGETS, settings, () => 0);
  const secure = new Asked();
  secure.scheme = 'https';
  choose(secure);
  assert.match(secure.added.join(), /; Secure$/);
  const ruled = new Asked({ h: '1' });
  assert.equal(choose(ruled), 1);
  assert.deepEqual(ruled.added, []);
});

test('a target of weight 0 lets go of the callers it had', () => {
  const settings = { ...PLAIN, stickyCookie: { name: 'side', ttlSeconds: 60 } };
  const before = new Asked();
  compileSplit(TARGETS, settings, () => 0.95)(before);
  const value = /side=([^;]+)/.exec(before.added[0]!)![1]!;
  const ended = [TARGETS[0]!, { service: 'canary', weight: 0 }];
  const after = new Asked({}, { side: value });
  assert.equal(compileSplit(ended, settings, () => 0.99)(after), 0);
  assert.equal(after.added.length, 1);
});

test('a split without weight, or with a rule for nobody, is a mistake of the program', () => {
  assert.throws(() => compileSplit([{ service: 'a', weight: 0 }], null), TypeError);
  assert.throws(() => compileSplit([], null), TypeError);
  const rule = { ...PLAIN, cookies: [{ name: 'c', value: '1', service: 'nobody' }] };
  assert.throws(() => compileSplit(TARGETS, rule), /nobody/);
});

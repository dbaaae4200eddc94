import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { KeySettings } from '../contract/cache.ts';
import type { Identity } from '../contract/policy.ts';
import { ELSEWHERE, firstKey, hasParts, type KeyRequest, secondKey } from './keys.ts';

const PLAIN: KeySettings = { query: null, headers: [], cookies: [], user: false, plan: false, partition: '' };

interface Asked {
  readonly url?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** What the service gets of the fields; absent: the same. */
  readonly sent?: Readonly<Record<string, string>>;
  readonly elsewhere?: string | null;
  readonly cookies?: Readonly<Record<string, string>>;
  readonly user?: string | null;
  readonly plan?: string | null;
}

function request(asked: Asked): KeyRequest {
  const { url = 'http://h/p', headers = {}, sent, cookies = {}, user = null, plan = null, elsewhere = null } = asked;
  const [, scheme, authority, path, query = ''] = /^(\w+):\/\/([^/]*)([^?]*)\??(.*)$/.exec(url)!;
  const identity = user === null ? null : ({ method: 'jwt', subject: user, plan } as unknown as Identity);
  return {
    callerScheme: scheme!,
    authority: authority!,
    path: path!,
    query,
    identity,
    elsewhere,
    header: (name) => headers[name] ?? null,
    sentUpstream: (name) => (sent ?? headers)[name] ?? null,
    cookie: (name) => cookies[name] ?? null,
  };
}

const key = (settings: Partial<KeySettings>, asked: Asked, vary: string[] = []): string => {
  const whole = { ...PLAIN, ...settings };
  return secondKey(firstKey(whole, request(asked)), 'm', whole, vary, request(asked));
};

test('scheme, host in any case, path and query make the first key', () => {
  const first = (url: string): string => firstKey(PLAIN, request({ url }));
  assert.equal(first('http://H.example:8000/a?b=1'), 'http://h.example:8000/a?b=1');
  assert.notEqual(first('http://h/a'), first('https://h/a'));
  assert.notEqual(first('http://h/a'), first('http://h/A'));
  assert.notEqual(first('http://h/a?x=1&y=2'), first('http://h/a?y=2&x=1'));
});

test('an allow-list keeps the parameters that count, in one order', () => {
  const first = (url: string, mode: 'only' | 'without', ...names: string[]): string =>
    firstKey({ ...PLAIN, query: { mode, names } }, request({ url }));
  assert.equal(first('http://h/?utm=1&b=2&a=1', 'only', 'a', 'b'), 'http://h/?a=1&b=2');
  assert.equal(first('http://h/?b=2&a=1&utm_source=x', 'without', 'utm_source'), 'http://h/?a=1&b=2');
  assert.equal(first('http://h/?utm=1', 'only', 'a'), 'http://h/');
  assert.equal(first('http://h/?%61=1', 'only', 'a'), 'http://h/?%61=1');
  assert.equal(first('http://h/?a=1&a=0', 'only', 'a'), 'http://h/?a=1&a=0');
});

test('what the service gets of a field counts, and what the client sent instead of it', () => {
  const by = (asked: Asked): string => key({}, asked, ['x']);
  assert.notEqual(by({ sent: { x: 'ada' } }), by({ sent: { x: 'bob' } }));
  assert.notEqual(by({ sent: { x: 'ada' } }), by({ headers: { x: 'ada' }, sent: { x: 'bob' } }));
  assert.notEqual(by({ headers: { x: '1' }, sent: {} }), by({ headers: { x: '2' }, sent: {} }));
  assert.equal(by({ headers: { x: '1' } }), by({ headers: { x: '1' }, sent: { x: '1' } }));
});

test('requests of one URL that go to different places do not share', () => {
  const by = (elsewhere: string | null): string => key({}, { elsewhere }, [ELSEWHERE]);
  assert.notEqual(by('h /a?of=ada'), by('h /a?of=bob'));
  assert.notEqual(by('h /a?of=ada'), by(null));
});

test('parts of the configuration and Vary tell requests apart, and absent is not empty', () => {
  assert.equal(hasParts(PLAIN), false);
  assert.equal(hasParts({ ...PLAIN, plan: true }), true);
  assert.notEqual(key({ headers: ['x'] }, { headers: { x: '1' } }), key({ headers: ['x'] }, { headers: { x: '2' } }));
  assert.notEqual(key({ headers: ['x'] }, {}), key({ headers: ['x'] }, { headers: { x: '' } }));
  assert.notEqual(key({ cookies: ['c'] }, { cookies: { c: '1' } }), key({ cookies: ['c'] }, {}));
  assert.notEqual(key({ user: true }, { user: 'a' }), key({ user: true }, {}));
  assert.notEqual(key({ plan: true }, { user: 'a', plan: 'x' }), key({ plan: true }, { user: 'a', plan: 'y' }));
  assert.equal(key({ plan: true }, { user: 'a', plan: 'x' }), key({ plan: true }, { user: 'b', plan: 'x' }));
});

test('no two users, whatever their names and fields, have one key (property)', () => {
  const text = fc.string({ unit: 'binary', maxLength: 12 });
  const field = fc.string({ maxLength: 12 }).map((value) => value.trim());
  fc.assert(
    fc.property(text, text, field, field, (one, other, fieldOne, fieldOther) => {
      fc.pre(one !== other && one.isWellFormed() && other.isWellFormed());
      const settings = { user: true, headers: ['x'] };
      assert.notEqual(
        key(settings, { user: one, headers: { x: fieldOne } }, ['y']),
        key(settings, { user: other, headers: { x: fieldOther } }, ['y']),
      );
    }),
    { numRuns: 2_000 },
  );
});

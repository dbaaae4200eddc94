import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BalancerRequest } from '../contract/balancer.ts';
import type { StickySettings } from '../contract/snapshot.ts';
import type { SettingsParts } from './fixtures.suite.ts';
import { Bench, instance, instances, REQUEST, request, settings } from './fixtures.suite.ts';

const STICKY: StickySettings = {
  cookie: 'gh_svc',
  ttlSeconds: 3_600,
  key: 'sticky',
  path: '/',
  secure: true,
  sameSite: 'Lax',
};

function bench(parts: SettingsParts = {}, sticky: Partial<StickySettings> = {}): Bench {
  return new Bench({
    instances: instances(4),
    ...parts,
    resilience: { ...parts.resilience, sticky: { ...STICKY, ...sticky } },
  });
}

/** A caller who has been served once, and what it sends from then on. */
function caller(one: Bench): { id: string; setCookie: string; value: string; by: BalancerRequest } {
  const endpoint = one.pick();
  const setCookie = one.service.stickyCookieFor(endpoint, REQUEST);
  one.answer(endpoint);
  assert.ok(setCookie !== null);
  const value = /^gh_svc=([^;]+)/.exec(setCookie)?.[1] ?? '';
  return { id: endpoint.id, setCookie, value, by: request({ cookies: { gh_svc: value } }) };
}

describe('sticky sessions', () => {
  for (const algorithm of [
    'round-robin',
    'weighted-round-robin',
    'least-connections',
    'ip-hash',
    'peak-ewma',
    'random',
  ]) {
    it(`keep a caller at its instance with ${algorithm}`, () => {
      const one = bench({ balancer: { algorithm, options: {} } });
      const { id, by } = caller(one);
      assert.deepEqual([...one.spread(50, () => by).keys()], [id]);
    });
  }

  it('set a cookie only for a caller that does not have it', () => {
    const one = bench();
    const { by, setCookie } = caller(one);
    assert.match(setCookie, /^gh_svc=[\w-]{32}; Path=\/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax$/);
    assert.equal(one.service.stickyCookieFor(one.pick([], by), by), null);
  });

  it('name no instance in the cookie', () => {
    const { value, id } = caller(bench());
    assert.equal(Buffer.from(value, 'base64url').includes(id), false);
  });

  it('last for the session of the browser without a time to live', () => {
    assert.doesNotMatch(caller(bench({}, { ttlSeconds: 0, secure: false })).setCookie, /Max-Age|Secure/);
  });

  it('are the same on every worker and node with the same key, and with another key void', () => {
    const { by, id } = caller(bench());
    assert.equal(bench().pick([], by).id, id);
    const rekeyed = new Bench(
      { instances: instances(4), resilience: { sticky: STICKY } },
      { secrets: { sticky: 'another' } },
    );
    assert.equal(rekeyed.spread(40, () => by).size, 4);
  });

  it('do not believe a cookie that was tampered with', () => {
    const one = bench();
    const { value } = caller(one);
    const forged = [
      '',
      'x',
      value.slice(0, -1),
      `${value}A`,
      value.slice(0, 8) + 'A'.repeat(24),
      `${value.slice(0, -1)}${value.endsWith('A') ? 'B' : 'A'}`,
      'é'.repeat(32),
    ];
    for (const cookie of forged) {
      const by = request({ cookies: { gh_svc: cookie } });
      assert.equal(one.spread(8, () => by).size, 4, `"${cookie}" was believed`);
      assert.ok(one.service.stickyCookieFor(one.pick([], by), by) !== null, 'a right cookie replaces it');
    }
  });

  it('go elsewhere while the instance is down, with a new cookie', () => {
    const one = bench();
    const { id, by } = caller(one);
    const slot = Number(/\.(\d+):/.exec(id)?.[1]);
    one.table.setHealthy(slot, false);
    const endpoint = one.pick([], by);
    assert.notEqual(endpoint.id, id);
    assert.match(one.service.stickyCookieFor(endpoint, by) ?? '', /^gh_svc=/);
  });

  it('go elsewhere for a retry', () => {
    const one = bench();
    const { id, by } = caller(one);
    const first = one.pick([], by);
    assert.equal(first.id, id);
    assert.notEqual(one.pick([first], by).id, id);
  });

  it('stay at an instance of weight 0, which gets nobody new, but not at a draining one', () => {
    const one = bench();
    const { id, by } = caller(one);
    const slot = Number(/\.(\d+):/.exec(id)?.[1]);
    const weights = instances(4).map((one) => (one.slot === slot ? instance(slot, { weight: 0 }) : one));
    one.service.update(settings({ instances: weights, resilience: { sticky: STICKY } }));
    assert.equal(one.pick([], by).id, id);
    assert.equal(one.spread(30).has(id), false);
    one.table.setDraining(slot, true);
    assert.notEqual(one.pick([], by).id, id);
  });

  it('do not start without their key', () => {
    assert.throws(() => bench({}, { key: 'missing' }), /the key for sticky sessions of "svc" is missing/);
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeTimers } from '../../../test/support/fake-timers.ts';
import { createLogger } from '../../base/log.ts';
import type { PublishedKeySource } from '../../data/contract/auth.ts';
import type { OutsideResponse } from './http.ts';
import { JwksFetcher } from './jwks-fetcher.ts';

const source: PublishedKeySource = {
  kind: 'published',
  id: 's',
  url: 'https://issuer.example/jwks',
  discovery: null,
  refreshMs: 600_000,
  maxStaleMs: 3_600_000,
  cooldownMs: 30_000,
  timeoutMs: 5_000,
};
const key = (kid: string) => ({ kty: 'EC', crv: 'P-256', x: 'x', y: 'y', kid });

/** A fetcher whose answers are `sites[url]`, with the times at which each URL was asked for. */
function fetcherOf(sites: Record<string, unknown>, more: Partial<PublishedKeySource> = {}) {
  const timers = new FakeTimers();
  const asked: { url: string; atMs: number }[] = [];
  let told = 0;
  const fetcher = new JwksFetcher(
    { ...source, ...more },
    {
      clock: timers.clock,
      timers,
      log: createLogger('silent'),
      random: () => 0.5,
      ask: async ({ url }): Promise<OutsideResponse> => {
        asked.push({ url, atMs: timers.clock.monotonicMs() });
        const site = sites[url];
        if (site === undefined) return { status: 404, headers: {}, body: '' };
        if (site instanceof Error) throw site;
        return { status: 200, headers: {}, body: typeof site === 'string' ? site : JSON.stringify(site) };
      },
      onKeys: () => {
        told++;
      },
    },
  );
  return { fetcher, timers, asked, sites, told: () => told };
}

const kids = (fetcher: JwksFetcher) => fetcher.published?.keys.map(({ kid }) => kid) ?? null;

test('fetches at the start and then in the background', async () => {
  const { fetcher, timers, asked, sites, told } = fetcherOf({ [source.url!]: { keys: [key('a')] } });
  assert.equal(await fetcher.start(), true);
  assert.deepEqual(kids(fetcher), ['a']);
  sites[source.url!] = { keys: [key('b')] };
  await timers.advance(599_999);
  assert.equal(asked.length, 1);
  await timers.advance(1);
  assert.deepEqual(kids(fetcher), ['b']);
  assert.equal(told(), 2);
});

test('an unknown key id causes a fetch, shared by all who ask, and none again where it is known to be absent', async () => {
  const { fetcher, timers, asked, sites } = fetcherOf({ [source.url!]: { keys: [key('a')] } });
  await fetcher.start();
  sites[source.url!] = { keys: [key('a'), key('b')] };
  const answers = await Promise.all([fetcher.refresh('b'), fetcher.refresh('b'), fetcher.refresh('c')]);
  assert.deepEqual(answers, [true, true, true], 'right after the start: its own fetch counts for nothing');
  assert.deepEqual(kids(fetcher), ['a', 'b']);
  assert.equal(asked.length, 2);
  for (let i = 0; i < 100; i++) assert.equal(await fetcher.refresh('made-up'), true);
  assert.equal(asked.length, 3);
  await timers.advance(30_000);
  assert.equal(await fetcher.refresh('made-up'), true);
  assert.equal(asked.length, 4, 'later it may be there');
});

test('made-up key ids use up a few fetches, then the answer is to come back, and the next fetch hurries', async () => {
  const { fetcher, timers, asked, sites } = fetcherOf({ [source.url!]: { keys: [key('a')] } });
  await fetcher.start();
  for (let i = 0; i < 5; i++) assert.equal(await fetcher.refresh(`made-up ${i}`), true);
  assert.equal(await fetcher.refresh('made-up 6'), false);
  sites[source.url!] = { keys: [key('b')] };
  assert.equal(await fetcher.refresh('b'), false, 'nobody can say: not "there is none"');
  assert.equal(asked.length, 6);
  await timers.advance(30_000);
  assert.deepEqual(kids(fetcher), ['b'], 'without being asked again');
});

test('one flight at a time: who asks during a fetch waits for it', async () => {
  const { fetcher, asked } = fetcherOf({ [source.url!]: { keys: [key('a')] } });
  const [started, refreshed] = await Promise.all([fetcher.start(), fetcher.refresh('a')]);
  assert.deepEqual([started, refreshed, asked.length], [true, true, 1]);
});

test('a failure keeps the keys until they are too old, and is tried again ever more slowly', async () => {
  const { fetcher, timers, asked, sites } = fetcherOf({ [source.url!]: { keys: [key('a')] } });
  await fetcher.start();
  sites[source.url!] = new Error('connect refused');
  await timers.advance(600_000);
  assert.equal(fetcher.problem, 'connect refused');
  assert.deepEqual(kids(fetcher), ['a'], 'keys that were good a while ago still count');
  const before = asked.length;
  await timers.advance(60_000);
  const tries = asked.length - before;
  assert.ok(tries >= 4 && tries <= 8, `${tries} tries in the first minute`);
  await timers.advance(3_600_000 - 660_000);
  assert.equal(kids(fetcher), null, 'an hour after they were fetched they do not');
  sites[source.url!] = { keys: [key('b')] };
  await timers.advance(60_000);
  assert.deepEqual(kids(fetcher), ['b']);
  assert.equal(fetcher.problem, null);
  assert.equal(fetcher.failures, 0);
});

test('never had keys: nothing is published, and the first try is repeated soon', async () => {
  const { fetcher, timers, asked, sites, told } = fetcherOf({ [source.url!]: new Error('down') });
  assert.equal(await fetcher.start(), false);
  assert.equal(fetcher.published, null);
  assert.equal(told(), 0);
  sites[source.url!] = { keys: [key('a')] };
  await timers.advance(1_000);
  assert.equal(asked.length, 2);
  assert.deepEqual(kids(fetcher), ['a']);
});

for (const { name, answer, want } of [
  { name: 'no JSON', answer: '<html>', want: /not JSON/ },
  { name: 'a list', answer: [], want: /not a JSON object/ },
  { name: 'no set', answer: { keys: 'x' }, want: /not a JWK set/ },
  { name: 'an empty set', answer: { keys: [] }, want: /empty/ },
  { name: 'a set of nothing', answer: { keys: [null, 1, 'x'] }, want: /empty/ },
]) {
  test(`${name} does not replace good keys`, async () => {
    const { fetcher, timers, sites } = fetcherOf({ [source.url!]: { keys: [key('a')] } });
    await fetcher.start();
    sites[source.url!] = answer;
    await timers.advance(600_000);
    assert.deepEqual(kids(fetcher), ['a']);
    assert.match(fetcher.problem ?? '', want);
  });
}

test('private and symmetric members of a published key go no further', async () => {
  const { fetcher } = fetcherOf({ [source.url!]: { keys: [{ ...key('a'), d: 'private', k: 'secret', x5c: ['z'] }] } });
  await fetcher.start();
  assert.deepEqual(fetcher.published?.keys, [key('a')]);
});

test('stopped, it fetches no more', async () => {
  const { fetcher, timers, asked } = fetcherOf({ [source.url!]: { keys: [key('a')] } });
  await fetcher.start();
  fetcher.stop();
  await timers.advance(10_000_000);
  assert.equal(await fetcher.refresh('x'), false);
  assert.equal(asked.length, 1);
  assert.equal(timers.pending, 0);
});

const openid = 'https://login.example/tenant/.well-known/openid-configuration';
const oauth = 'https://login.example/.well-known/oauth-authorization-server/tenant';
const byIssuer = { url: null, discovery: 'https://login.example/tenant' };
const metadata = (more: Record<string, unknown> = {}) => ({
  issuer: byIssuer.discovery,
  jwks_uri: 'https://keys.example/jwks',
  ...more,
});
const keysSite = { 'https://keys.example/jwks': { keys: [key('a')] } };

test('finds the set by OpenID metadata', async () => {
  const { fetcher, asked } = fetcherOf({ [openid]: metadata(), ...keysSite }, byIssuer);
  assert.equal(await fetcher.start(), true);
  assert.deepEqual(
    asked.map(({ url }) => url),
    [openid, 'https://keys.example/jwks'],
  );
});

test('finds the set by RFC 8414 metadata where there are no others', async () => {
  const { fetcher } = fetcherOf({ [oauth]: metadata(), ...keysSite }, byIssuer);
  assert.equal(await fetcher.start(), true);
});

for (const { name, site, want } of [
  { name: 'of another issuer', site: metadata({ issuer: 'https://login.example' }), want: /another issuer/ },
  { name: 'without jwks_uri', site: metadata({ jwks_uri: undefined }), want: /no jwks_uri/ },
  { name: 'that lead to plain http', site: metadata({ jwks_uri: 'http://keys.example/jwks' }), want: /not https/ },
  {
    name: 'that lead to plain http on this machine',
    site: metadata({ jwks_uri: 'http://127.0.0.1/jwks' }),
    want: /not https/,
  },
  { name: 'that lead to a file', site: metadata({ jwks_uri: 'file:///etc/passwd' }), want: /not https/ },
]) {
  test(`refuses metadata ${name}`, async () => {
    const { fetcher } = fetcherOf({ [openid]: site, ...keysSite }, byIssuer);
    assert.equal(await fetcher.start(), false);
    assert.match(fetcher.problem ?? '', want);
  });
}

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { FAULTS, Fault } from '../../base/errors.ts';
import { PreparedIdentity } from '../auth/identity.ts';
import { noHeaders } from '../auth/identity-headers.ts';
import { type AuthorizeSettings, authorize } from './authorize.ts';
import { createPolicy, type ExchangeFacts, RecordingExchange, runRequestPhases, testEnvironment } from './testing.ts';

const settings = (more: Partial<AuthorizeSettings>): AuthorizeSettings => ({
  realm: 'test',
  level: 'user',
  requirements: { scopes: [], roles: [], mfa: 'off' as const, maxAuthAgeSeconds: 0 },
  claims: [],
  owns: null,
  ownsExcept: [],
  when: null,
  minAge: 0,
  unknownAge: 'refuse',
  rating: null,
  ratingFrom: null,
  topics: [],
  topicFrom: null,
  hours: null,
  function: null,
  ...more,
});

const someone = (claims: Record<string, unknown> = {}, roles: string[] = [], scopes: string[] = []) =>
  new PreparedIdentity(
    { method: 'jwt', subject: 'alice', roles, scopes, plan: null },
    { sub: 'alice', ...claims },
    noHeaders,
  );

async function faultOf(more: Partial<AuthorizeSettings>, facts: ExchangeFacts, environment = testEnvironment()) {
  const hooks = createPolicy(authorize, settings(more), environment);
  const outcome = await runRequestPhases(hooks, new RecordingExchange(facts));
  return outcome instanceof Fault ? outcome : null;
}

for (const { level, roles, want } of [
  { level: 'public', roles: null, want: null },
  { level: 'user', roles: null, want: FAULTS.authenticationRequired },
  { level: 'user', roles: [], want: null },
  { level: 'admin', roles: ['user'], want: FAULTS.insufficientPermissions },
  { level: 'admin', roles: ['admin'], want: null },
  { level: 'admin', roles: ['service'], want: FAULTS.insufficientPermissions },
  { level: 'service', roles: ['admin'], want: FAULTS.insufficientPermissions },
  { level: 'service', roles: ['service'], want: null },
] as const) {
  test(`level ${level} and ${roles === null ? 'nobody' : `roles [${roles}]`}: ${want?.reason ?? 'passes'}`, async () => {
    const identity = roles === null ? null : someone({}, [...roles]);
    assert.equal((await faultOf({ level }, { identity }))?.kind ?? null, want);
  });
}

test('roles, scopes and a second factor are asked for', async () => {
  const requirements = { scopes: ['a'], roles: ['editor'], mfa: 'always' as const, maxAuthAgeSeconds: 0 };
  const verdict = (identity: PreparedIdentity) => faultOf({ requirements }, { identity });
  assert.equal(await verdict(someone({ mfa_verified: true }, ['editor'], ['a'])), null);
  assert.equal((await verdict(someone({ mfa_verified: true }, [], ['a'])))?.cause, 'role');
  assert.equal((await verdict(someone({ mfa_verified: true }, ['editor'])))?.cause, 'scope');
  assert.equal((await verdict(someone({}, ['editor'], ['a'])))?.kind, FAULTS.mfaRequired);
});

test('claims must have one of the values, alone or in a list, and of the same type', async () => {
  const claims = [
    { paths: [['org.tier'], ['org', 'tier']], values: ['gold', 'silver'] },
    { paths: [['staff']], values: [true] },
  ];
  const verdict = (more: Record<string, unknown>) => faultOf({ claims }, { identity: someone(more) });
  assert.equal(await verdict({ org: { tier: 'gold' }, staff: true }), null);
  assert.equal(await verdict({ org: { tier: ['bronze', 'silver'] }, staff: true }), null);
  assert.equal(
    await verdict({ 'org.tier': 'gold', org: { tier: 'bronze' }, staff: true }),
    null,
    'the whole name first',
  );
  assert.equal((await verdict({ org: { tier: 'bronze' }, staff: true }))?.cause, 'claim org.tier');
  assert.equal((await verdict({ org: { tier: 'gold' }, staff: 'true' }))?.cause, 'claim staff');
  assert.equal((await verdict({ staff: true }))?.cause, 'claim org.tier');
});

describe('ownership', () => {
  const owns = 'params.userId == auth.sub || params.userId in auth.claims.children';

  test('who does not own gets the answer of a resource that does not exist', async () => {
    const identity = someone({ children: ['bob'] });
    assert.equal(await faultOf({ owns }, { identity, params: { userId: 'alice' } }), null);
    assert.equal(await faultOf({ owns }, { identity, params: { userId: 'bob' } }), null);
    const fault = await faultOf({ owns }, { identity, params: { userId: 'mallory' } });
    assert.equal(fault?.kind, FAULTS.notOwner);
    assert.equal(fault?.kind.status, 404);
  });

  test('a role can stand above ownership', async () => {
    const facts = { identity: someone({}, ['admin']), params: { userId: 'bob' } };
    assert.equal(await faultOf({ owns, ownsExcept: ['support', 'admin'] }, facts), null);
    assert.equal((await faultOf({ owns, ownsExcept: ['support'] }, facts))?.kind, FAULTS.notOwner);
  });

  test('who lacks a scope learns nothing about what exists', async () => {
    const requirements = { scopes: ['write'], roles: [], mfa: 'off' as const, maxAuthAgeSeconds: 0 };
    const fault = await faultOf({ owns, requirements }, { identity: someone(), params: { userId: 'bob' } });
    assert.equal(fault?.kind, FAULTS.insufficientPermissions);
  });
});

test('any other condition is 403, also for callers nobody knows', async () => {
  const when = "request.method == 'GET' || 'editor' in auth.roles";
  assert.equal(await faultOf({ when }, { identity: someone() }), null);
  assert.equal((await faultOf({ when }, { identity: someone(), method: 'PUT' }))?.cause, 'when');
  assert.equal(await faultOf({ when }, { identity: someone({}, ['editor']), method: 'PUT' }), null);
  assert.equal(await faultOf({ when, level: 'public' }, {}), null);
  assert.equal((await faultOf({ when, level: 'public' }, { method: 'PUT' }))?.cause, 'when');
});

for (const { name, more, claims, passes } of [
  { name: 'age in years, old enough', more: { minAge: 13 }, claims: { age: 13 }, passes: true },
  { name: 'age in years, too young', more: { minAge: 13 }, claims: { age: 12 }, passes: false },
  { name: 'a band that begins at the age', more: { minAge: 13 }, claims: { age_band: '13-15' }, passes: true },
  { name: 'a band that begins below it', more: { minAge: 14 }, claims: { age_band: '13-15' }, passes: false },
  { name: 'an open band', more: { minAge: 18 }, claims: { age_band: '18+' }, passes: true },
  { name: 'no age', more: { minAge: 13 }, claims: {}, passes: false },
  { name: 'no age, and that is allowed', more: { minAge: 13, unknownAge: 'allow' }, claims: {}, passes: true },
  {
    name: 'no age of a child, though that is allowed',
    more: { minAge: 13, unknownAge: 'allow' },
    claims: { par: 'p' },
    passes: false,
  },
  { name: 'an age that is a text', more: { minAge: 13 }, claims: { age: '99' }, passes: false },
  { name: 'a rating within the limit', more: { rating: 12 }, claims: { par: 'p', content_rating: 12 }, passes: true },
  { name: 'a rating above the limit', more: { rating: 16 }, claims: { par: 'p', content_rating: 12 }, passes: false },
  { name: 'no limit of an adult', more: { rating: 18 }, claims: {}, passes: true },
  { name: 'no limit of a child', more: { rating: 6 }, claims: { par: 'p' }, passes: false },
  { name: 'a limit that is a text', more: { rating: 6 }, claims: { content_rating: '99' }, passes: false },
  {
    name: 'a rating in the query, within',
    more: { ratingFrom: 'query.rating' },
    claims: { content_rating: 12 },
    passes: true,
  },
  {
    name: 'a rating in the query, missing',
    more: { ratingFrom: 'query.none' },
    claims: { content_rating: 12 },
    passes: false,
  },
  { name: 'a rating in the query, missing, no limit', more: { ratingFrom: 'query.none' }, claims: {}, passes: true },
  {
    name: 'a rating that is no number',
    more: { ratingFrom: 'query.topic' },
    claims: { content_rating: 12 },
    passes: false,
  },
  {
    name: 'a topic that is not blocked',
    more: { topics: ['animals'] },
    claims: { blocked_topics: ['horror'] },
    passes: true,
  },
  {
    name: 'a topic that is blocked',
    more: { topics: ['Horror'] },
    claims: { blocked_topics: ['horror'] },
    passes: false,
  },
  {
    name: 'a blocked topic in the query',
    more: { topicFrom: 'query.topic' },
    claims: { blocked_topics: ['war'] },
    passes: false,
  },
  {
    name: 'a block list of a wrong type',
    more: { topics: ['animals'] },
    claims: { blocked_topics: 'horror' },
    passes: false,
  },
] as const) {
  test(`${name}: ${passes ? 'passes' : 'is refused'}`, async () => {
    const fault = await faultOf(more, { identity: someone(claims), query: 'rating=9&topic=War' });
    assert.equal(fault === null, passes);
    if (fault !== null) assert.equal(fault.kind, FAULTS.insufficientPermissions);
  });
}

describe('hours', () => {
  // 1 January 2026 is a Thursday; midnight UTC is 01:00 in Berlin.
  const spans = [{ days: [4, 5], from: 7 * 60, to: 20 * 60 + 30 }];
  const hours = { spans, timeZone: 'Europe/Berlin', for: 'children' as const };
  const child = { identity: someone({ par: 'p' }) };

  test('a child is let in inside its hours, by the wall clock of the zone', async () => {
    const environment = testEnvironment();
    const at = async (ms: number) => {
      environment.clock.advance(ms);
      return (await faultOf({ hours }, child, environment))?.cause ?? 'passes';
    };
    const hour = 3_600_000;
    assert.equal(await at(0), 'hours');
    assert.equal(await at(6 * hour - 1), 'hours', '06:59 in Berlin');
    assert.equal(await at(1), 'passes', '07:00');
    assert.equal(await at(13.5 * hour - 1), 'passes', '20:29');
    assert.equal(await at(1), 'hours', '20:30');
    assert.equal(await at(34.5 * hour), 'hours', 'Saturday 07:00 is in no span');
  });

  test('others may come at any time, unless the hours are for all', async () => {
    assert.equal(await faultOf({ hours }, { identity: someone() }), null);
    assert.equal((await faultOf({ hours: { ...hours, for: 'all' } }, { identity: someone() }))?.cause, 'hours');
  });

  test('the answer changes with the minute on one and the same route', async () => {
    const environment = testEnvironment();
    const hooks = createPolicy(authorize, settings({ hours }), environment);
    environment.clock.advance(6 * 3_600_000 - 60_000);
    assert.ok((await runRequestPhases(hooks, new RecordingExchange(child))) instanceof Fault);
    environment.clock.advance(60_000);
    assert.equal(await runRequestPhases(hooks, new RecordingExchange(child)), undefined);
  });
});

describe("a user's own function", () => {
  const folder = mkdtempSync(join(tmpdir(), 'authorize-'));
  after(() => rmSync(folder, { recursive: true }));
  let files = 0;
  const withFunction = (text: string, facts: ExchangeFacts = { identity: someone() }, timeoutMs = 1_000) => {
    const file = join(folder, `check-${++files}.ts`);
    writeFileSync(file, text);
    return faultOf({ function: { file, version: '1', timeoutMs } }, facts);
  };

  test('decides by what it sees of the request', async () => {
    const text = `
      export default (request: { params: Record<string, string>; identity: { subject: string } | null; header(name: string): string | null }) => {
        if (request.params['id'] === 'secret') return 'not-found';
        return request.identity?.subject === 'alice' && request.header('x-ok') === '1';
      };`;
    assert.equal(await withFunction(text, { identity: someone(), headers: { 'x-ok': '1' } }), null);
    assert.equal((await withFunction(text))?.kind, FAULTS.insufficientPermissions);
    assert.equal((await withFunction(text, { identity: someone(), params: { id: 'secret' } }))?.kind, FAULTS.notOwner);
  });

  test('may be asynchronous', async () => {
    assert.equal(await withFunction('export default async () => true;'), null);
    assert.equal((await withFunction('export default async () => false;'))?.cause, 'function');
  });

  for (const [name, text] of [
    ['throws', 'export default () => { throw new Error("no"); };'],
    ['rejects', 'export default async () => { throw new Error("no"); };'],
    ['returns nothing', 'export default () => undefined;'],
    ['returns something truthy', 'export default () => 1;'],
    ['resolves to nothing', 'export default async () => undefined;'],
    ['cannot be parsed', 'export default ('],
    ['throws while it loads', 'throw new Error("load"); export default () => true;'],
    ['has no default export', 'export const check = () => true;'],
  ] as const) {
    test(`a function that ${name} closes the route`, async () => {
      assert.equal((await withFunction(text))?.kind, FAULTS.internal);
    });
  }

  test('a function that never decides closes the route in time', async () => {
    assert.equal(
      (await withFunction('export default () => new Promise(() => {});', undefined, 20))?.kind,
      FAULTS.internal,
    );
  });

  test('once loaded, a synchronous function costs no promise', async () => {
    const file = join(folder, 'sync.ts');
    writeFileSync(file, 'export default () => true;');
    const hooks = createPolicy(authorize, settings({ function: { file, version: '1', timeoutMs: 1_000 } }));
    await hooks.authorize?.(new RecordingExchange({ identity: someone() }));
    assert.equal(hooks.authorize?.(new RecordingExchange({ identity: someone() })), undefined);
  });
});

/**
 * Property: whatever a response says and whoever asks in whatever order, at once or one after the other, nobody gets
 * what was made for another one, unless RFC 9111 and the configuration allow it. The oracle below is written from the
 * RFC and knows nothing of the code.
 */
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { suiteScope } from '../../support/scope.ts';
import { httpUpstream } from '../../support/upstream.ts';

/** What the service says of a URL. */
interface Says {
  readonly control: readonly string[];
  readonly vary: readonly string[];
  readonly setsCookie: boolean;
}

/** One who asks. */
interface Asks {
  readonly who: number;
  readonly authorized: boolean;
  readonly language: string;
  readonly region: string;
  readonly currency: string;
}

interface Answer {
  /** Number of the request that the body was made for. */
  readonly madeFor: number;
  readonly cookie: string | null;
  readonly how: string;
}

type Kind = 'all' | 'parts' | 'user';

const KEYS = ['key-of-ada-0123456789', 'key-of-bob-0123456789', 'key-of-eve-0123456789'];

const says: fc.Arbitrary<Says> = fc.record({
  control: fc.subarray(
    [
      'max-age=60',
      'private',
      'no-store',
      'public',
      's-maxage=60',
      'must-revalidate',
      'no-cache',
      'private="x-made-for"',
    ],
    { maxLength: 3 },
  ),
  vary: fc.subarray(['Accept-Language', 'Authorization', 'X-Region', 'Cookie', '*'], { maxLength: 2 }),
  setsCookie: fc.boolean(),
});
const asks: fc.Arbitrary<Asks> = fc.record({
  who: fc.nat(KEYS.length - 1),
  authorized: fc.boolean(),
  language: fc.constantFrom('de', 'en'),
  region: fc.constantFrom('north', 'south'),
  currency: fc.constantFrom('eur', 'usd'),
});

/** May `other` have what was made for `one`? */
function mayShare(kind: Kind, { control, vary, setsCookie }: Says, one: Asks, other: Asks): boolean {
  if (kind === 'user' && one.who !== other.who) return false;
  // §5.2.2.5, §5.2.2.7: of a user's own responses `private` ones may be kept for that user.
  if (control.includes('no-store')) return false;
  if (kind !== 'user' && control.includes('private')) return false;
  // §3.5
  const isPrivileged = kind !== 'user' && one.authorized;
  if (isPrivileged && !['public', 's-maxage=60', 'must-revalidate'].some((each) => control.includes(each)))
    return false;
  if (setsCookie && kind !== 'user') return false;
  // §4.1
  if (vary.includes('*')) return false;
  if (vary.includes('Accept-Language') && one.language !== other.language) return false;
  if (vary.includes('X-Region') && one.region !== other.region) return false;
  if (vary.includes('Cookie') && one.currency !== other.currency) return false;
  if (
    vary.includes('Authorization') &&
    (one.authorized !== other.authorized || (one.authorized && one.who !== other.who))
  )
    return false;
  return kind !== 'parts' || (one.region === other.region && one.currency === other.currency);
}

describe('nobody gets what is another one’s', () => {
  const scope = suiteScope();
  const agent = new Agent({ keepAlive: true, maxSockets: 20 });
  let gateway: TestGateway;
  const told = new Map<string, Says>();
  let shared = 0;

  before(async () => {
    scope.after(() => agent.destroy());
    const upstream = await httpUpstream(scope, (incoming, response) => {
      const { control, vary, setsCookie } = told.get(incoming.url!)!;
      const nth = incoming.headers['x-nth'] as string;
      if (control.length > 0) response.setHeader('Cache-Control', control.join(', '));
      if (vary.length > 0) response.setHeader('Vary', vary.join(', '));
      if (setsCookie) response.setHeader('Set-Cookie', `session=of-${nth}`);
      response.setHeader('X-Made-For', nth);
      // A moment, so that those who ask at once do meet.
      setImmediate(() => response.end(nth));
    });
    const cache = { lifetimes: { 200: '1m' } };
    const route = (path: string, more: object) => ({ match: { path }, service: 'things', auth: 'public', ...more });
    gateway = await startTestGateway(
      scope,
      {
        gateway: { workers: 2 },
        services: { things: { instances: [{ url: upstream.url }] } },
        routes: [
          route('/all/*', { cache }),
          route('/parts/*', { cache: { ...cache, key: { headers: ['X-Region'], cookies: ['currency'] } } }),
          route('/user/*', { cache: { ...cache, by: 'user' }, auth: { apiKey: {} } }),
        ],
      },
      Object.fromEntries(KEYS.map((key, i) => [`API_KEY_${i + 1}`, `${key}:user-${i}:read:standard`])),
    );
  });

  function ask(path: string, nth: number, { who, authorized, language, region, currency }: Asks): Promise<Answer> {
    const headers: Record<string, string> = {
      'x-nth': String(nth),
      'x-api-key': KEYS[who]!,
      'accept-language': language,
      'x-region': region,
      cookie: `currency=${currency}`,
      ...(authorized ? { authorization: `Basic ${btoa(`user-${who}:x`)}` } : {}),
    };
    return new Promise((resolve, reject) => {
      request(`${gateway.url}${path}`, { headers, agent }, (response) => {
        let body = '';
        response.setEncoding('latin1').on('data', (text: string) => {
          body += text;
        });
        response.on('error', reject);
        response.on('end', () => {
          assert.equal(response.statusCode, 200, body);
          // Head and body are of one response.
          assert.ok([undefined, body].includes(response.headers['x-made-for'] as string | undefined));
          resolve({
            madeFor: Number(body),
            how: String(response.headers['cache-status']),
            cookie: response.headers['set-cookie']?.join() ?? null,
          });
        });
      })
        .on('error', reject)
        .end();
    });
  }

  let urls = 0;

  for (const kind of ['all', 'parts', 'user'] as const) {
    test(`on a route like ${kind}`, { timeout: 180_000 }, async () => {
      shared = 0;
      await fc.assert(
        fc.asyncProperty(
          says,
          fc.array(asks, { minLength: 2, maxLength: 6 }),
          fc.boolean(),
          async (what, callers, atOnce) => {
            const path = `/${kind}/${++urls}`;
            told.set(path, what);
            const answers: Answer[] = [];
            if (atOnce) answers.push(...(await Promise.all(callers.map((caller, nth) => ask(path, nth, caller)))));
            else for (const [nth, caller] of callers.entries()) answers.push(await ask(path, nth, caller));
            for (const [nth, { madeFor, cookie, how }] of answers.entries()) {
              if (cookie !== null) assert.equal(cookie.startsWith(`session=of-${madeFor}`), true);
              if (madeFor === nth) continue;
              shared++;
              assert.ok(
                mayShare(kind, what, callers[madeFor]!, callers[nth]!),
                `${JSON.stringify(callers[nth])} got (${how}) what was made for ${JSON.stringify(callers[madeFor])}: ${JSON.stringify(what)}`,
              );
            }
            told.delete(path);
          },
        ),
        { numRuns: 300 },
      );
      assert.ok(shared > 10, `${shared} responses came out of the cache, too few for the property to mean something`);
    });
  }
});

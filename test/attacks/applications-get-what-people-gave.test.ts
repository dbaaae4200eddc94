/**
 * Rule: an application can do what its person allowed, as long as the person wants it, and no page but ours speaks for
 * the person. People see and end grants; codes of devices are not guessed; a code works only where it was asked for.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import * as oidc from 'openid-client';
import { systemClock } from '../../src/base/clock.ts';
import { type Bench, type Member, makeBench, PASSWORD } from '../integration/identity/harness.ts';
import { Browser, served } from '../integration/identity/oauth-scene.ts';
import { freePort } from '../support/ports.ts';

const SECRET = 'a secret of the application with enough bytes';
const CALLBACK = 'http://127.0.0.1:1/callback';

const CLIENTS = [
  { id: 'app', name: 'Reader', secret: SECRET, redirectUris: [CALLBACK], scopes: ['openid', 'offline_access'] },
  { id: 'other', name: 'Other', secret: SECRET, redirectUris: [CALLBACK], scopes: ['openid', 'offline_access'] },
  { id: 'tv', name: 'Television', grants: ['device_code' as const], scopes: ['openid'] },
];

describe('grants', () => {
  let bench: Bench;
  let issuer: string;
  let member: Member;

  before(async () => {
    const made = await served({ oauth: { enabled: true, clients: CLIENTS }, lockout: { addressAttempts: 20 } });
    bench = made.bench;
    issuer = `${made.url}/oauth`;
    member = await bench.member('olga');
  });
  after(() => bench?.close());

  const configure = (id: string) =>
    oidc.discovery(new URL(issuer), id, SECRET, oidc.ClientSecretBasic(SECRET), {
      execute: [oidc.allowInsecureRequests],
    });

  async function authorise(app: oidc.Configuration): Promise<{ url: URL; verifier: string }> {
    const verifier = oidc.randomPKCECodeVerifier();
    const browser = new Browser();
    const start = oidc.buildAuthorizationUrl(app, {
      redirect_uri: CALLBACK,
      scope: 'openid offline_access',
      prompt: 'consent',
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    const { url: page } = await browser.follow(start, CALLBACK);
    const login = await browser.send(`${page}/login`, { login: 'olga', password: member.password });
    const consent = await browser.follow(new URL(login.headers.get('location') ?? '', page), CALLBACK);
    const confirmed = await browser.send(`${consent.url}/confirm`, {});
    const done = await browser.follow(new URL(confirmed.headers.get('location') ?? '', consent.url), CALLBACK);
    return { url: done.url, verifier };
  }

  async function tokensOf(app: oidc.Configuration): Promise<string> {
    const { url, verifier } = await authorise(app);
    return (await oidc.authorizationCodeGrant(app, url, { pkceCodeVerifier: verifier })).access_token;
  }

  const isActive = async (app: oidc.Configuration, token: string): Promise<boolean> =>
    (await oidc.tokenIntrospection(app, token)).active;

  test('a person sees which applications have one, is told of it by email, and ends it', async () => {
    const [app, other] = [await configure('app'), await configure('other')];
    const [mine, kept] = [await tokensOf(app), await tokensOf(other)];
    const mails = (await bench.mails()).filter((mail) => mail.includes('The application "Reader" may now act'));
    assert.equal(mails.length, 1);
    const listed = await bench.call('GET', '/grants', undefined, member.accessToken);
    assert.deepEqual(
      listed.body.grants
        .map(({ clientId, name, scopes }: { clientId: string; name: string; scopes: string[] }) => [
          clientId,
          name,
          scopes.toSorted(),
        ])
        .toSorted(),
      [
        ['app', 'Reader', ['offline_access', 'openid']],
        ['other', 'Other', ['offline_access', 'openid']],
      ],
    );
    const stranger = await bench.member('stranger');
    assert.equal((await bench.call('DELETE', '/grants/app', undefined, stranger.accessToken)).status, 404);
    assert.deepEqual((await bench.call('GET', '/grants', undefined, stranger.accessToken)).body.grants, []);
    assert.ok(await isActive(app, mine));
    assert.equal((await bench.call('DELETE', '/grants/app', undefined, member.accessToken)).status, 200);
    assert.deepEqual([await isActive(app, mine), await isActive(other, kept)], [false, true]);
    assert.equal((await bench.call('DELETE', '/grants/app', undefined, member.accessToken)).status, 404);
  });

  test('signing out everywhere ends all of them, and so does an administrator who ends all sessions', async () => {
    const app = await configure('app');
    const first = await tokensOf(app);
    assert.equal((await bench.call('POST', '/logout/all', {}, member.accessToken)).status, 200);
    assert.equal(await isActive(app, first), false);
    const { body } = await bench.call('POST', '/login', { username: 'olga', password: member.password });
    assert.deepEqual((await bench.call('GET', '/grants', undefined, body.accessToken)).body.grants, []);
    const second = await tokensOf(app);
    const admin = await bench.admin();
    const ended = await bench.call('DELETE', `/admin/users/${member.id}/sessions`, undefined, admin.accessToken);
    assert.equal(ended.status, 200);
    assert.equal(await isActive(app, second), false);
  });

  test('a code needs the redirect_uri with which it was asked for, also where the application has one only', async () => {
    const app = await configure('app');
    for (const sent of [undefined, `${CALLBACK}/`]) {
      const { url, verifier } = await authorise(app);
      const response = await fetch(`${issuer}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`app:${encodeURIComponent(SECRET)}`).toString('base64')}` },
        body: new URLSearchParams({
          grant_type: 'authorization_code',
          code: url.searchParams.get('code') ?? '',
          code_verifier: verifier,
          ...(sent === undefined ? {} : { redirect_uri: sent }),
        }),
      });
      assert.equal(response.status, 400, String(sent));
    }
  });

  test('every page of the provider has a policy for its content, those with a script of the provider too', async () => {
    const pages = ['/device', '/device?user_code=ABCD-EFGH', '/session/end', '/auth?client_id=nobody', '/nothing'];
    for (const path of pages) {
      const response = await fetch(`${issuer}${path}`);
      const policy = response.headers.get('content-security-policy') ?? '';
      const html = await response.text();
      assert.match(policy, /default-src 'none'/, path);
      assert.match(policy, /frame-ancestors 'none'/, path);
      assert.equal(response.headers.get('x-frame-options'), 'DENY', path);
      const script = /<script>([\s\S]*?)<\/script>/.exec(html)?.[1];
      if (script === undefined) continue;
      const digest = createHash('sha256').update(script).digest('base64');
      assert.ok(policy.includes(`script-src 'sha256-${digest}'`), `${path}: ${policy}`);
    }
  });

  test('a form that another site sends is refused, also where its origin is hidden', async () => {
    const app = await configure('app');
    const browser = new Browser();
    const start = oidc.buildAuthorizationUrl(app, {
      redirect_uri: CALLBACK,
      scope: 'openid',
      code_challenge: await oidc.calculatePKCECodeChallenge(oidc.randomPKCECodeVerifier()),
      code_challenge_method: 'S256',
    });
    const { url: page } = await browser.follow(start, CALLBACK);
    const form = new URLSearchParams({ login: 'olga', password: member.password });
    for (const [target, site] of [
      [`${page}/login`, 'cross-site'],
      [`${page}/login`, 'same-site'],
      [`${page}/abort`, 'cross-site'],
      [`${issuer}/device`, 'cross-site'],
      [`${issuer}/session/end/confirm`, 'cross-site'],
    ]) {
      const response = await fetch(target as string, {
        method: 'POST',
        redirect: 'manual',
        headers: { cookie: browser.cookieFor(target as string), origin: 'null', 'sec-fetch-site': site as string },
        body: form,
      });
      assert.equal(response.status, 403, `${target} from ${site}`);
    }
    const own = await fetch(`${page}/login`, {
      method: 'POST',
      redirect: 'manual',
      headers: { cookie: browser.cookieFor(page), origin: 'null', 'sec-fetch-site': 'same-origin' },
      body: form,
    });
    assert.equal(own.status, 303);
  });

  test('codes of devices are not guessed: wrong ones count like wrong passwords of their address', async () => {
    const browser = new Browser();
    const field = (html: string): string => /name="xsrf" value="([^"]*)"/.exec(html)?.[1] ?? '';
    const statuses: number[] = [];
    for (let i = 0; i < 22; i++) {
      const xsrf = field(await (await browser.send(`${issuer}/device`)).text());
      const answer = await browser.send(`${issuer}/device`, { xsrf, user_code: `WRNG-${1_000 + i}` });
      await answer.text();
      statuses.push(answer.status);
    }
    assert.deepEqual(statuses.slice(0, 20), new Array(20).fill(200));
    assert.deepEqual(statuses.slice(20), [429, 429]);
  });
});

describe('the code of an outside sign-in', () => {
  const RETURN = 'http://127.0.0.1:1/welcome';
  let provider: Bench;
  let bench: Bench;
  let url: string;

  before(async () => {
    url = `http://127.0.0.1:${await freePort()}`;
    const client = {
      id: 'us',
      name: 'Us',
      secret: SECRET,
      redirectUris: [`${url}/api/auth/outside/other/callback`],
      scopes: ['openid', 'email', 'profile'],
    };
    const made = await served({ oauth: { enabled: true, clients: [client] } });
    provider = made.bench;
    await provider.member('mallory');
    bench = await makeBench(
      {
        publicUrl: url,
        returnTo: [RETURN],
        providers: {
          other: { issuer: `${made.url}/oauth`, clientId: 'us', clientSecret: SECRET, allowInsecure: true },
        },
      },
      { clock: systemClock as never },
    );
    await bench.identity.start({ host: '127.0.0.1', port: Number(new URL(url).port) });
  });
  after(async () => {
    await bench?.close();
    await provider?.close();
  });

  async function codeOf(browser: Browser, more = ''): Promise<string> {
    const start = `${url}/api/auth/outside/other/start?returnTo=${encodeURIComponent(RETURN)}${more}`;
    const page = await browser.follow(start, RETURN);
    const ofPage = ({ hash }: URL): string => new URLSearchParams(hash.slice(1)).get('code') ?? '';
    if (page.response === undefined) return ofPage(page.url);
    const login = await browser.send(`${page.url}/login`, { login: 'mallory', password: PASSWORD });
    const consent = await browser.follow(new URL(login.headers.get('location') ?? '', page.url), RETURN);
    let end = consent.url;
    if (consent.response !== undefined) {
      const confirmed = await browser.send(`${consent.url}/confirm`, {});
      end = (await browser.follow(new URL(confirmed.headers.get('location') ?? '', consent.url), RETURN)).url;
    }
    return ofPage(end);
  }
  const exchange = (body: object, cookie = '') =>
    bench.call('POST', '/outside/exchange', body, undefined, cookie === '' ? {} : { cookie });
  const cookieOf = (browser: Browser): string => browser.cookieFor(`${url}/api/auth/outside/exchange`);

  test('signs nobody in but the browser that began, whoever is made to open the page with it', async () => {
    const attacker = new Browser();
    const victim = new Browser();
    await codeOf(victim);
    for (const cookie of ['', cookieOf(victim), 'gh_outside_result=x']) {
      const refused = await exchange({ code: await codeOf(attacker) }, cookie);
      assert.deepEqual([refused.status, refused.body.reason], [403, 'foreign_sign_in'], cookie);
    }
    assert.equal((await exchange({ code: await codeOf(attacker) }, cookieOf(attacker))).status, 200);
  });

  test('works for a page of another site by the verifier of its challenge, and by nothing else', async () => {
    const verifier = randomBytes(32).toString('base64url');
    const challenge = createHash('sha256').update(verifier).digest('base64url');
    const browser = new Browser();
    const more = `&challenge=${challenge}`;
    for (const body of [{}, { verifier: randomBytes(32).toString('base64url') }, { verifier: challenge }]) {
      const refused = await exchange({ code: await codeOf(browser, more), ...body }, cookieOf(browser));
      assert.equal(refused.status, 403, JSON.stringify(body));
    }
    assert.equal((await exchange({ code: await codeOf(browser, more), verifier })).status, 200);
    const cookieOnly = await exchange({ code: await codeOf(new Browser()), verifier });
    assert.equal(cookieOnly.status, 403, 'a verifier replaces no cookie where no challenge was given');
  });
});

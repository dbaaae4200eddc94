/**
 * Rule: a browser's session is its own site's. CSRF, fixation and theft: what another site's page, a planted cookie or
 * a bare cookie can do is nothing.
 */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { before, describe, test } from 'node:test';
import { suiteScope } from '../support/scope.ts';
import { type Answer, bearer, identityScene, PASSWORD, type Scene } from './support.ts';

interface Jar {
  readonly cookies: Readonly<Record<string, string>>;
  readonly attributes: readonly string[];
  readonly csrf: string;
}

function jarOf({ headers, body }: Answer): Jar {
  const attributes = headers.getSetCookie();
  const cookies = Object.fromEntries(
    attributes.map((line) => {
      const [pair = ''] = line.split(';');
      return [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
    }),
  );
  return { cookies, attributes, csrf: String(body.csrfToken) };
}

const cookie = (...pairs: string[]): Record<string, string> => ({ cookie: pairs.join('; ') });

describe('a session in cookies', () => {
  const scope = suiteScope();
  let scene: Scene;
  before(async () => {
    scene = await identityScene(scope, {
      identity: { cookies: { trustedSites: ['https://app.example.com'] } },
    });
    await scene.account('victim');
    await scene.account('mallory');
  });

  async function login(username: string, headers: Record<string, string> = {}): Promise<Jar> {
    const answer = await scene.call('POST', '/api/auth/browser/login', { username, password: PASSWORD }, headers);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return jarOf(answer);
  }
  const access = ({ cookies }: Jar): string => `gh_access=${cookies['gh_access']}`;
  const refresh = ({ cookies }: Jar): string => `gh_refresh=${cookies['gh_refresh']}`;

  test('no token is where a script can read it, and the refresh token goes to its own path only', async () => {
    const answer = await scene.call('POST', '/api/auth/browser/login', { username: 'victim', password: PASSWORD });
    const text = JSON.stringify(answer.body);
    const jar = jarOf(answer);
    assert.ok(!text.includes(jar.cookies['gh_access']!) && !text.includes(jar.cookies['gh_refresh']!));
    const [accessLine, refreshLine] = ['gh_access', 'gh_refresh'].map((name) =>
      jar.attributes.find((line) => line.startsWith(`${name}=`)),
    );
    assert.match(accessLine!, /HttpOnly/);
    assert.match(accessLine!, /SameSite=Lax/);
    assert.match(refreshLine!, /HttpOnly/);
    assert.match(refreshLine!, /SameSite=Strict/);
    assert.match(refreshLine!, /Path=\/api\/auth\/browser(;|$)/);
  });

  test('with https the cookies are Secure and bound to the host', async (t) => {
    const secure = await identityScene(t, { identity: { cookies: {}, publicUrl: 'https://app.example.com' } });
    await secure.account('victim');
    const { attributes } = jarOf(
      await secure.call('POST', '/api/auth/browser/login', { username: 'victim', password: PASSWORD }),
    );
    const own = attributes.filter((line) => /gh_(?:access|refresh|session)/.test(line));
    assert.equal(own.length, 3);
    for (const line of own) assert.match(line, /; Secure/);
    for (const name of ['access', 'session']) assert.ok(own.some((line) => line.startsWith(`__Host-gh_${name}=`)));
    for (const line of attributes) assert.doesNotMatch(line, /Domain=/);
  });

  test('a refresh cookie that a neighbouring host planted is not taken, nor keeps the own one from working', async (t) => {
    const secure = await identityScene(t, { identity: { cookies: {}, publicUrl: 'https://app.example.com' } });
    const signIn = async (username: string): Promise<Jar> => {
      await secure.account(username);
      return jarOf(await secure.call('POST', '/api/auth/browser/login', { username, password: PASSWORD }));
    };
    const pair = (jar: Jar, name: string): string => `${name}=${jar.cookies[name]}`;
    const [own, planted] = [await signIn('victim'), await signIn('mallory')];
    const [token, session] = ['__Secure-gh_refresh', '__Host-gh_session'] as const;
    const refreshed = (...pairs: string[]): Promise<Answer> =>
      secure.call('POST', '/api/auth/browser/refresh', undefined, cookie(...pairs));
    assert.equal((await refreshed(pair(planted, token))).status, 401);
    assert.equal((await refreshed(pair(planted, token), pair(own, session))).status, 401);
    const both = await refreshed(pair(planted, token), pair(own, token), pair(own, session));
    assert.equal(both.status, 200);
    assert.equal(jarOf(both).csrf, own.csrf);
    // The planted one was not used up or ended either: nothing happened to it here.
    assert.equal((await refreshed(pair(planted, token), pair(planted, session))).status, 200);
    const out = await secure.call('POST', '/api/auth/browser/logout', undefined, cookie(pair(own, session)));
    assert.ok(out.headers.getSetCookie().some((line) => line.startsWith(`${session}=;`)));
  });

  test('reading needs the cookie, changing needs the CSRF token too', async () => {
    const jar = await login('victim');
    assert.equal((await scene.call('GET', '/echo/x', undefined, cookie(access(jar)))).status, 200);
    const change = (headers: Record<string, string>) =>
      scene.call('POST', '/echo/x', {}, { ...cookie(access(jar)), ...headers });
    assert.equal((await change({})).status, 401);
    assert.equal((await change({ 'x-csrf-token': '' })).status, 401);
    assert.equal((await change({ 'x-csrf-token': jar.csrf.slice(1) })).status, 401);
    assert.equal((await change({ 'x-csrf-token': (await login('mallory')).csrf })).status, 401);
    assert.equal((await change({ 'x-csrf-token': jar.csrf })).status, 200);
  });

  test('a page of another site is refused even with the token, unless its origin is trusted', async () => {
    const jar = await login('victim');
    const change = (headers: Record<string, string>) =>
      scene.call('POST', '/echo/x', {}, { ...cookie(access(jar)), 'x-csrf-token': jar.csrf, ...headers });
    for (const origin of ['https://evil.example', 'null', 'https://app.example.com.evil.example']) {
      assert.equal((await change({ origin })).status, 401, origin);
    }
    assert.equal((await change({ 'sec-fetch-site': 'cross-site' })).status, 401);
    assert.equal((await change({ 'sec-fetch-site': 'same-site' })).status, 401);
    assert.equal((await change({ origin: 'https://app.example.com', 'sec-fetch-site': 'same-site' })).status, 200);
  });

  test('the account API asks the same of a cookie', async () => {
    const jar = await login('victim');
    const patch = (headers: Record<string, string>) =>
      scene.call('PATCH', '/api/auth/me', { displayName: 'V' }, { ...cookie(access(jar)), ...headers });
    assert.equal((await scene.call('GET', '/api/auth/me', undefined, cookie(access(jar)))).status, 200);
    assert.equal((await patch({})).status, 403);
    assert.equal((await patch({ 'x-csrf-token': jar.csrf, origin: 'https://evil.example' })).status, 403);
    assert.equal((await patch({ 'x-csrf-token': jar.csrf })).status, 200);
  });

  test('other sites can neither sign a visitor in, nor out, nor refresh', async () => {
    const jar = await login('victim');
    for (const path of ['login', 'refresh', 'logout']) {
      const body = path === 'login' ? { username: 'mallory', password: PASSWORD } : undefined;
      const headers = { ...cookie(refresh(jar), access(jar)), origin: 'https://evil.example' };
      const answer = await scene.call('POST', `/api/auth/browser/${path}`, body, headers);
      assert.equal(answer.status, 403, path);
      assert.deepEqual(answer.headers.getSetCookie(), [], path);
    }
    // A form cannot send JSON.
    const form = await scene.call('POST', '/api/auth/browser/login', 'username=mallory&password=x', {
      'content-type': 'application/x-www-form-urlencoded',
    });
    assert.equal(form.status, 415);
    assert.equal((await scene.call('GET', '/echo/x', undefined, cookie(access(jar)))).status, 200);
  });

  test('a planted session is ended by signing in, never taken over', async () => {
    const planted = await login('mallory');
    const own = await login('victim', cookie(access(planted), refresh(planted)));
    assert.notEqual(own.cookies['gh_refresh'], planted.cookies['gh_refresh']);
    const me = await scene.call('GET', '/api/auth/me', undefined, cookie(access(own)));
    assert.equal(me.body.username, 'victim');
    assert.equal((await scene.call('GET', '/api/auth/me', undefined, cookie(access(planted)))).status, 401);
    assert.equal(
      (await scene.call('POST', '/api/auth/browser/refresh', undefined, cookie(refresh(planted)))).status,
      401,
    );
  });

  test('refreshing gives new cookies and keeps the CSRF token; signing out ends both tokens', async () => {
    const jar = await login('victim');
    const next = await scene.call('POST', '/api/auth/browser/refresh', undefined, cookie(refresh(jar)));
    assert.equal(next.status, 200);
    const renewed = jarOf(next);
    assert.equal(renewed.csrf, jar.csrf);
    assert.notEqual(renewed.cookies['gh_refresh'], jar.cookies['gh_refresh']);
    const out = await scene.call(
      'POST',
      '/api/auth/browser/logout',
      undefined,
      cookie(access(renewed), refresh(renewed)),
    );
    assert.equal(out.status, 200);
    for (const line of out.headers.getSetCookie()) assert.match(line, /Max-Age=0/);
    assert.equal((await scene.call('GET', '/api/auth/me', undefined, cookie(access(renewed)))).status, 401);
    const again = await scene.call('POST', '/api/auth/browser/refresh', undefined, cookie(refresh(renewed)));
    assert.equal(again.status, 401);
  });

  test('a bearer token needs no CSRF token, and one in a foreign cookie name counts nothing', async () => {
    const { body } = await scene.call('POST', '/api/auth/login', { username: 'victim', password: PASSWORD });
    assert.equal((await scene.call('POST', '/echo/x', {}, bearer(body.accessToken))).status, 200);
    assert.equal((await scene.call('GET', '/echo/x', undefined, cookie(`access=${body.accessToken}`))).status, 401);
  });

  test('a WebSocket opens with the cookie from the own site, and from no other', async () => {
    const jar = await login('victim');
    const own = new URL(scene.gateway.url).host;
    assert.notEqual(await handshake(`http://${own}`), 401);
    assert.equal(await handshake('https://evil.example'), 401);
    assert.equal(await handshake('null'), 401);

    function handshake(origin: string): Promise<number> {
      return new Promise((resolve, reject) => {
        const asked = request(`${scene.gateway.url}/echo/socket`, {
          headers: {
            ...cookie(access(jar)),
            origin,
            connection: 'Upgrade',
            upgrade: 'websocket',
            'sec-websocket-version': '13',
            'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
          },
        });
        asked.on('response', (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        asked.on('upgrade', (response, socket) => {
          socket.destroy();
          resolve(response.statusCode ?? 0);
        });
        asked.on('error', reject);
        asked.end();
      });
    }
  });
});

/**
 * Rule: whoever sends somebody a link to this gateway cannot choose where it leads to in the end (open redirect). Every
 * place that takes an address to go on to, and everything that is made of `Host`, is given every hostile spelling.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { compile } from '../../src/control/config/compile.ts';
import { loadConfig } from '../../src/control/config/load.ts';
import { formatProblem, type Problem } from '../../src/control/config/problems.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';
import { hostileAddresses, leadsTo } from './hostile-addresses.ts';
import { identityScene, PASSWORD, type Scene } from './support.ts';

const OWN = 'https://api.example.com';
const APPLICATION = 'https://app.example.com/callback';
const HOSTILE = hostileAddresses(OWN);
const PLENTY = { calls: '100000/1m', signUps: '100000/1m', emails: '100000/1m' };

describe('addresses to go on to', () => {
  let scene: Scene;
  const ends: (() => unknown)[] = [];
  before(async () => {
    scene = await identityScene(
      { after: (end) => void ends.unshift(end) },
      {
        identity: {
          publicUrl: OWN,
          cookies: {},
          addressLimits: PLENTY,
          returnTo: [APPLICATION],
          providers: { other: { issuer: 'https://provider.example', clientId: 'x' } },
          oauth: {
            enabled: true,
            clients: [
              { id: 'app', name: 'App', redirectUris: [APPLICATION], postLogoutRedirectUris: [APPLICATION] },
              { id: 'phone', name: 'Phone', redirectUris: ['com.example.phone:/callback'] },
            ],
          },
        },
      },
    );
    await scene.account('ada');
  });
  after(async () => {
    for (const end of ends) await end();
  });

  const open = (path: string, query: Record<string, string> | string[][]): Promise<Response> =>
    fetch(`${scene.gateway.url}${path}?${new URLSearchParams(query)}`, { redirect: 'manual' });

  /** Wherever a page or a response leads: its redirect, its links and forms, and what a form carries along. */
  async function ways(response: Response): Promise<string[]> {
    const html = await response.text();
    const location = response.headers.get('location');
    const found = [...html.matchAll(/ (?:href|action|src)="([^"]*)"|name="next" value="([^"]*)"/g)];
    return [
      ...(location === null ? [] : [location]),
      ...found.map(([, way = '', next]) => (next ?? way).replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code))),
    ];
  }

  async function staysHere(response: Response, what: string, own = OWN): Promise<void> {
    for (const way of await ways(response)) assert.equal(leadsTo(way, own), own, `${what} leads to ${way}`);
  }

  test('after a sign-in', async () => {
    for (const next of HOSTILE) {
      await staysHere(await open('/api/auth/pages/sign-in', { next }), `the page with ${JSON.stringify(next)}`);
      const wrong = { login: 'ada', password: 'not the password', next };
      for (const form of [wrong, { login: 'ada', password: PASSWORD, next }]) {
        const sent = await fetch(`${scene.gateway.url}/api/auth/pages/sign-in`, {
          method: 'POST',
          redirect: 'manual',
          headers: { 'sec-fetch-site': 'same-origin' },
          body: new URLSearchParams(form),
        });
        await staysHere(sent, `signing in with ${JSON.stringify(next)}`);
      }
    }
    const good = await open('/api/auth/pages/sign-in', { next: '/gatehouse/console/' });
    assert.ok((await ways(good)).includes('/gatehouse/console/'), 'this test sees where a page leads to');
  });

  test('of pages, whatever else is in their address', async () => {
    for (const page of ['register', 'forgot-password', 'verify-email', 'reset-password', 'sign-in', 'nothing'])
      for (const value of ['https://evil.example/', '//evil.example/', 'javascript:alert(1)'])
        for (const name of ['lang', 'token', 'return_to', 'redirect_uri', value])
          await staysHere(await open(`/api/auth/pages/${page}`, { [name]: value }), `${page}, ${name}=${value}`);
  });

  test('of a sign-in with an outside provider', async () => {
    for (const returnTo of [...HOSTILE, `${APPLICATION}/../evil`, `${APPLICATION}?x`, APPLICATION.toUpperCase()]) {
      const begun = await open('/api/auth/outside/other/start', { returnTo });
      assert.deepEqual([begun.status, begun.headers.get('location')], [400, null], JSON.stringify(returnTo));
      await begun.body?.cancel();
    }
  });

  const asks = (client: string, uri: string, more: Record<string, string> = {}) => ({
    client_id: client,
    response_type: 'code',
    scope: 'openid',
    state: 'x',
    code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    code_challenge_method: 'S256',
    redirect_uri: uri,
    ...more,
  });
  /** What differs from the registered address in one thing only (RFC 9700 §4.1: compared as texts). */
  const NEAR = [
    `${APPLICATION}/`,
    `${APPLICATION}?x=1`,
    `${APPLICATION}#x`,
    `${APPLICATION}/../evil`,
    `${APPLICATION}%2f..%2fevil`,
    APPLICATION.replace('https', 'http'),
    APPLICATION.replace('.com', '.com:8443'),
    APPLICATION.replace('app.', ''),
    APPLICATION.replace('app.', 'APP.'),
    APPLICATION.replace('.com', '.com@evil.example'),
    APPLICATION.replace('.com', '.com.evil.example'),
    `${APPLICATION} `,
    'com.example.phone:/callback/../evil',
    'com.example.phone://evil.example/callback',
    'com.example.phone.evil:/callback',
  ];

  test('of an authorization: an address that is not the application’s gets nothing, not even the error', async () => {
    for (const client of ['app', 'phone'])
      for (const uri of [...HOSTILE, ...NEAR])
        for (const more of [{}, { prompt: 'none' }, { response_mode: 'form_post' }, { scope: '' }]) {
          const refused = await open('/oauth/auth', asks(client, uri, more));
          const what = `${client} ${JSON.stringify(uri)} ${JSON.stringify(more)}`;
          assert.deepEqual([refused.status, refused.headers.get('location')], [400, null], what);
          await staysHere(refused, what);
        }
    const twice = [...Object.entries(asks('app', APPLICATION)), ['redirect_uri', 'https://evil.example/']];
    const both = await open('/oauth/auth', twice);
    assert.deepEqual([both.status, both.headers.get('location')], [400, null], 'two addresses');
    await both.body?.cancel();
    const good = await open('/oauth/auth', asks('app', APPLICATION));
    assert.equal(good.status, 303, 'this test asks for what is there');
    await staysHere(good, 'a good one');
  });

  test('of a sign-out', async () => {
    for (const uri of [...HOSTILE, ...NEAR]) {
      const refused = await open('/oauth/session/end', { client_id: 'app', post_logout_redirect_uri: uri });
      assert.deepEqual([refused.status, refused.headers.get('location')], [400, null], JSON.stringify(uri));
      await staysHere(refused, JSON.stringify(uri));
    }
    const good = await open('/oauth/session/end', { client_id: 'app', post_logout_redirect_uri: APPLICATION });
    assert.equal(good.status, 200, 'this test asks for what is there');
    await good.body?.cancel();
  });
});

describe('a lying Host', () => {
  const LIES = ['X-Forwarded-Host: evil.example', 'Forwarded: host=evil.example;proto=https', 'X-Host: evil.example'];
  const head = (target: string, method = 'GET'): string =>
    `${method} ${target} HTTP/1.1\r\nHost: evil.example\r\n${LIES.join('\r\n')}\r\nConnection: close\r\n`;

  for (const publicUrl of [OWN, undefined])
    test(`changes no link of an email and no redirect, ${publicUrl ?? 'without publicUrl'}`, async (t) => {
      const scene = await identityScene(t, {
        admin: { listen: '127.0.0.1:0', path: '/gatehouse' },
        identity: {
          ...(publicUrl === undefined ? {} : { publicUrl }),
          registration: { verifyEmail: 'required' },
          cookies: {},
          oauth: { enabled: true, clients: [{ id: 'app', name: 'App', redirectUris: [APPLICATION] }] },
        },
      });
      const { gateway } = scene;
      const port = Number(new URL(gateway.url).port);
      const raw = async (target: string, method?: string, body = '') => {
        const type = 'Content-Type: application/json\r\n';
        const sent = `${head(target, method)}${body === '' ? '' : `${type}Content-Length: ${body.length}\r\n`}\r\n${body}`;
        return await new RawCaller(port).send(sent).answer();
      };
      const given = JSON.stringify({ email: 'ada@example.com', password: PASSWORD });
      for (const target of ['/api/auth/register', 'http://evil.example/api/auth/register'])
        assert.equal((await raw(target, 'POST', given)).status, 202, target);
      const own = publicUrl ?? gateway.url;
      const links = await mailedLinks(join(gateway.folder, 'mailbox'), 2);
      for (const link of links) assert.equal(new URL(link).origin, own, link);
      const asked = `/oauth/auth?client_id=app&response_type=code&scope=openid&state=x&redirect_uri=${encodeURIComponent(APPLICATION)}&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256`;
      for (const target of [
        asked,
        '/gatehouse/console',
        '/gatehouse/console/',
        '/api/auth/pages/sign-in',
        '/oauth/.well-known/openid-configuration',
      ]) {
        const { status, headers, body } = await raw(target);
        assert.ok(status < 400, `${target}: ${status}`);
        const { location } = headers;
        if (location !== undefined) assert.equal(leadsTo(location, own), own, `${target} leads to ${location}`);
        assert.ok(!body.includes('evil.example'), target);
      }
    });

  test('and hostile paths lead the console nowhere', async (t) => {
    const gateway = await startTestGateway(t, { admin: { listen: '127.0.0.1:0' } });
    const { admin } = gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'])!.sections as {
      admin: { url: string };
    };
    const { origin, port } = new URL(admin.url);
    const targets = ['/', '/console', '//evil.example/console', '/\\evil.example/console', '/console//evil.example'];
    for (const target of [...targets, '//evil.example/', '/console/..//evil.example', '/console?//evil.example']) {
      const { headers } = await new RawCaller(Number(port)).send(`${head(target)}\r\n`).answer();
      const { location } = headers;
      if (location !== undefined) assert.equal(leadsTo(location, origin), origin, `${target} leads to ${location}`);
    }
  });
});

describe('redirects of routes', () => {
  test('stay where the configuration says, whatever path, query and parameter a link has', async (t) => {
    const redirects = {
      '/path/*': '{path}{search}',
      '/query/*': '/{query}',
      '/both/*': '/moved{path}?back={query}',
      '/name/:name': '/:name',
      '/alone/:name': ':name',
      '/tenant/:name': 'https://:name.api.example.com{path}',
      '/*': '{path}',
    };
    const gateway = await startTestGateway(t, {
      gateway: { auth: 'public' },
      routes: Object.entries(redirects).map(([path, redirect]) => ({ match: { path }, redirect })),
    });
    const location = async (target: string): Promise<string | undefined> =>
      (
        await new RawCaller(gateway.port)
          .send(`GET ${target} HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n`)
          .answer()
      ).headers['location'];
    assert.equal(await location('/tenant/blue'), 'https://blue.api.example.com/tenant/blue');
    let found = 0;
    for (const address of hostileAddresses(OWN)) {
      // What ends a request line or cannot be in one is the parser's to refuse (test/wire/targets.test.ts).
      const text = Buffer.from(address)
        .toString('latin1')
        .replaceAll(/[\s\0]/g, '%20');
      const name = encodeURIComponent(address);
      for (const target of [
        text.startsWith('/') ? text : `/${text}`,
        `/path/${text}`,
        `/query/x?${text}`,
        `/both/${text}?${text}`,
        `/name/${name}`,
        `/alone/${name}`,
      ]) {
        const to = await location(target);
        if (to === undefined) continue;
        found++;
        assert.equal(leadsTo(to, OWN), OWN, `${target} leads to ${to}`);
      }
      const tenant = await location(`/tenant/${name}`);
      if (tenant === undefined) continue;
      const host = URL.canParse(tenant) ? new URL(tenant).hostname : '';
      assert.ok(host === '' || host.endsWith('.api.example.com'), `${name} leads to ${tenant}`);
    }
    assert.ok(found > 200, `${found} redirects were looked at`);
  });

  for (const [location, place] of [
    ['{query}', '{query}'],
    ['https://{query}', '{query}'],
    ['//x.{query}/', '{query}'],
    ['https://:name', ':name'],
    ['https://www.:name/x', ':name'],
    ['https://api.example.com:name', ':name'],
    ['https://:name.example.com/', undefined],
    ['https://{host}{path}{search}', undefined],
    ['https://api.example.com{path}?{query}', undefined],
    ['/:name', undefined],
    ['/{query}', undefined],
  ] as const)
    test(`${location} is ${place === undefined ? 'taken as it is' : 'warned of'}`, async () => {
      const routes = [{ match: { path: '/:name' }, redirect: location, auth: 'public' }];
      const { ok, problems } = await check({ routes });
      assert.ok(ok, problems.map(formatProblem).join('\n'));
      const found = problems.map(({ message }) => message).filter((message) => message.includes('whatever host'));
      assert.deepEqual(found, place === undefined ? [] : [`leads to whatever host a link names in ${place}`]);
    });
});

describe('addresses of the configuration', () => {
  const client = (more: object) => ({ oauth: { enabled: true, clients: [{ id: 'app', name: 'App', ...more }] } });
  for (const address of ['javascript:alert(1)', 'data:text/html,x', 'ftp://example.com/', 'file:///etc/passwd'])
    for (const [key, identity] of Object.entries({
      publicUrl: { publicUrl: address },
      'mail.linkBase': { mail: { linkBase: address } },
      'returnTo.0': { returnTo: [address] },
      'oauth.clients.0.redirectUris.0': client({ redirectUris: [address] }),
      'oauth.clients.0.postLogoutRedirectUris.0': client({
        redirectUris: [APPLICATION],
        postLogoutRedirectUris: [address],
      }),
    }))
      test(`identity.${key} is no ${address}`, async () => {
        const { ok, problems } = await check({ identity: { enabled: true, ...identity } });
        assert.ok(!ok);
        const said = problems.map(formatProblem).join('\n');
        assert.ok(said.includes(`identity.${key.replaceAll(/\.(\d+)/g, '[$1]')}: must be an http`), said);
      });
});

async function check(document: object): Promise<{ readonly ok: boolean; readonly problems: readonly Problem[] }> {
  const loaded = await loadConfig({ document, env: {} });
  return loaded.ok ? compile(loaded.config) : loaded;
}

/** Links of the emails in a folder, as soon as there are so many emails. */
async function mailedLinks(folder: string, count: number): Promise<string[]> {
  const names = (): string[] => (existsSync(folder) ? readdirSync(folder) : []);
  await until(() => names().length >= count, `${count} emails`, 30_000);
  return names().flatMap((name) => readFileSync(join(folder, name), 'utf8').match(/https?:\/\/\S+/g) ?? []);
}

/** `match.scheme` and `match.listener`: plain HTTP sent on to HTTPS, and listeners with routes of their own. */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { before, describe, test } from 'node:test';
import { explainRequest } from '../../src/explain-request.ts';
import { Authority } from '../support/certificates.ts';
import { startTestGateway } from '../support/gateway.ts';
import { suiteScope } from '../support/scope.ts';

interface Got {
  readonly status: number;
  readonly location: string | undefined;
  readonly hsts: string | undefined;
}

function ask(port: number, path: string, headers: Record<string, string> = {}, secure = false): Promise<Got> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, agent: false, rejectUnauthorized: false, headers };
    const asked = (secure ? httpsRequest : httpRequest)(options, (response) => {
      response.resume();
      const { location, 'strict-transport-security': hsts } = response.headers;
      resolve({ status: response.statusCode ?? 0, location, hsts: hsts as string | undefined });
    });
    asked.on('error', reject);
    asked.end();
  });
}

describe('conditions on the connection', () => {
  const scope = suiteScope();
  let authority: Authority;
  before(async () => {
    authority = await Authority.create(scope);
    await authority.issue('own', ['example.com']);
  });

  const gateway = (more: Record<string, unknown> = {}) => ({
    port: undefined,
    host: undefined,
    securityHeaders: {},
    listeners: [
      { name: 'plain', host: '127.0.0.1', port: 0 },
      {
        name: 'secure',
        host: '127.0.0.1',
        port: 0,
        tls: { certificates: [{ cert: `${authority.folder}/own.crt`, key: `${authority.folder}/own.key` }] },
      },
    ],
    ...more,
  });
  const redirect = {
    match: { path: '/*', scheme: 'http' },
    redirect: 'https://{hostname}{path}{search}',
    priority: 1_000,
    auth: 'public',
  };
  const answer = { match: { path: '/api/*' }, respond: { status: 200, body: 'here' }, auth: 'public' };

  test('plain HTTP is sent on with path and query, HTTPS is answered and asks browsers to stay', async (t) => {
    const { addresses } = await startTestGateway(t, { gateway: gateway(), routes: [redirect, answer] });
    const [plain, secure] = addresses.map(({ port }) => port) as [number, number];
    const sent = await ask(plain, '/api/a?b=c%20d', { host: 'example.com:80' });
    assert.deepEqual([sent.status, sent.location], [308, 'https://example.com/api/a?b=c%20d']);
    assert.equal(sent.hsts, undefined);
    const here = await ask(secure, '/api/a', { host: 'example.com' }, true);
    assert.equal(here.status, 200);
    assert.match(here.hsts ?? '', /max-age=\d+/);
  });

  test('behind a proxy that ends TLS the scheme is what the proxy says, and strangers cannot say it', async (t) => {
    const routes = [redirect, answer];
    const trusting = await startTestGateway(t, { gateway: gateway({ trustProxy: ['127.0.0.1'] }), routes });
    const said = { host: 'example.com', 'x-forwarded-proto': 'https' };
    assert.equal((await ask(trusting.port, '/api/a', said)).status, 200);
    assert.equal((await ask(trusting.port, '/api/a', { ...said, 'x-forwarded-proto': 'http' })).status, 308);
    const other = await startTestGateway(t, { gateway: gateway(), routes });
    assert.equal((await ask(other.port, '/api/a', said)).status, 308);
  });

  test('a listener has routes of its own, which others do not have', async (t) => {
    const inside = {
      match: { path: '/inside', listener: 'plain' },
      respond: { status: 200, body: '' },
      auth: 'public',
    };
    const { addresses, logged } = await startTestGateway(t, { gateway: gateway(), routes: [inside, answer] });
    const [plain, secure] = addresses.map(({ port }) => port) as [number, number];
    assert.equal((await ask(plain, '/inside')).status, 200);
    assert.equal((await ask(secure, '/inside', {}, true)).status, 404);
    assert.equal((await ask(secure, '/inside', { listener: 'plain' }, true)).status, 404);
    assert.deepEqual(
      logged.filter((line) => line.includes('"error"')),
      [],
    );
  });

  test('a listener that does not exist stops the start, and a redirect that is passed by is a warning', async (t) => {
    const wrong = { ...answer, match: { path: '/a', listener: 'secur' } };
    await assert.rejects(
      startTestGateway(t, { gateway: gateway(), routes: [wrong] }),
      /routes\[0\]\.match\.listener.*no listener has this name[\s\S]*secure/,
    );
    const { priority: _, ...late } = redirect;
    const { logged } = await startTestGateway(t, { gateway: gateway(), routes: [late, answer] });
    assert.match(logged.join(''), /another route goes before this one, also over http/);
  });

  test('the explanation says which scheme it would have to be', async (t) => {
    const started = await startTestGateway(t, { gateway: gateway(), routes: [redirect, answer] });
    assert.ok(started.port > 0);
    const { compile } = await import('../../src/control/config/compile.ts');
    const { loadConfig } = await import('../../src/control/config/load.ts');
    const loaded = await loadConfig({ document: { gateway: gateway(), routes: [redirect, answer] }, env: {} });
    assert.ok(loaded.ok);
    const compiled = compile(loaded.config);
    assert.ok(compiled.ok);
    const text = JSON.stringify(explainRequest(compiled.snapshot.routes, 'GET', 'https://example.com/api/a', []));
    assert.match(text, /the scheme must be \\"http\\", it is \\"https\\"/);
  });
});

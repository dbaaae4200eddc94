import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createLogger } from '../../base/log.ts';
import type { ControlBus } from '../bus.ts';
import type { SectionContext } from '../config/section.ts';
import { identityFeature } from './feature.ts';
import { identityOptions } from './options.ts';
import { identitySection } from './section.ts';

const MASTER = 'a master key of enough characters';

function ask(socketPath: string, path: string): Promise<{ status: number; body: string }> {
  return new Promise((done, fail) => {
    const sent = request({ socketPath, path, headers: { 'x-forwarded-for': '192.0.2.9' } }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text: string) => (body += text));
      answer.on('end', () => done({ status: answer.statusCode ?? 0, body }));
    });
    sent.on('error', fail).end();
  });
}

function compileWith(input: unknown, env: Record<string, string> = {}, written: readonly object[] = []) {
  const problems: string[] = [];
  const warnings: string[] = [];
  const routes: string[] = [];
  const context = {
    env,
    services: ['authentication'],
    document: { stores: { sql: 'sqlite::memory:' }, routes: written },
    resolve: (file: string) => join('/nowhere', file),
    problem: (message: string) => void problems.push(message),
    warning: (message: string) => void warnings.push(message),
    addRoute: (route: { path: string }) => void routes.push(route.path),
  } as unknown as SectionContext;
  return { plan: identitySection.compile(identityOptions.parse(input), context), problems, warnings, routes };
}

describe('the identity section', () => {
  test('adds the routes of the service, and of the provider when it is on', () => {
    const { plan, routes, problems } = compileWith({ enabled: true, oauth: { enabled: true } });
    assert.deepEqual(problems, []);
    assert.deepEqual(routes, ['/api/auth/*', '/.well-known/jwks.json', '/oauth/*']);
    assert.equal(plan?.storeUrl, 'sqlite::memory:');
  });

  test('leads to a service where it runs as processes of its own, which must exist', () => {
    const { plan, problems } = compileWith({ enabled: true, service: 'authentication' });
    assert.deepEqual([plan?.options.service, problems], ['authentication', []]);
    assert.deepEqual(compileWith({ enabled: true, service: 'nowhere' }).problems, ['there is no such service']);
  });

  test('does nothing while it is off', () => {
    assert.deepEqual(compileWith({}), { plan: null, problems: [], warnings: [], routes: [] });
  });

  test('warns of a limit that another path of the same API escapes, and not when it is written for both', () => {
    const limited = (path: string) => ({ match: { path }, rateLimit: { limits: ['5/1m'] } });
    const both = { enabled: true, alsoAt: ['/api/v1/auth'] };
    const [warning] = compileWith(both, {}, [limited('/api/auth/login')]).warnings;
    assert.match(warning ?? '', /\/api\/auth\/login does not go for \/api\/v1\/auth\/login/);
    assert.equal(compileWith(both, {}, [limited('/api/v1/auth/login')]).warnings.length, 1);
    const covered = [limited('/api/auth/login'), limited('/api/v1/auth/login')];
    assert.deepEqual(compileWith(both, {}, covered).warnings, []);
    assert.deepEqual(compileWith({ enabled: true }, {}, [limited('/api/auth/login')]).warnings, []);
  });

  test('warns of passkeys on an IP address and of a domain that pages do not belong to', () => {
    const warned = (input: object) => compileWith({ enabled: true, ...input }).warnings.join();
    assert.match(warned({ publicUrl: 'https://192.0.2.1:8443' }), /do not work on an IP address/);
    assert.match(warned({ publicUrl: 'https://[2001:db8::1]' }), /do not work on an IP address/);
    assert.match(
      warned({ publicUrl: 'https://a.example', passkeys: { rpId: 'b.example' } }),
      /b.example on pages of a.ex/,
    );
    assert.match(warned({ publicUrl: 'https://xa.example', passkeys: { rpId: 'a.example' } }), /refuse passkeys/);
    assert.equal(warned({ publicUrl: 'https://www.a.example', passkeys: { rpId: 'a.example' } }), '');
    const elsewhere = { rpId: 'b.example', origins: ['https://app.b.example'] };
    assert.equal(warned({ publicUrl: 'https://a.example', passkeys: elsewhere }), '');
  });

  test('pages: says which language lacks texts, which place has no value, which file is not there, what is hard to read', () => {
    const found = compileWith({
      enabled: true,
      pages: {
        languages: ['en', 'fr'],
        texts: { en: { signIn: 'Hello {nobody}' }, it: {} },
        logo: 'nowhere.svg',
        colours: { dark: { soft: '#333c49' } },
      },
    });
    const all = found.problems.join('\n');
    assert.match(all, /texts\.fr lacks \d+ texts/);
    assert.match(all, /a place for which there is no value/);
    assert.match(all, /texts of a language that is never used/);
    assert.match(all, /cannot be read: ENOENT/);
    assert.match(found.warnings.join(), /soft is hard to read on card: contrast 1\.\d+ to 1/);
  });

  const bad: { name: string; input: object; env?: Record<string, string>; want: RegExp }[] = [
    {
      name: 'a weak secret of the environment',
      input: {},
      env: { JWT_SECRET: 'weak' },
      want: /JWT_SECRET has 4 bytes/,
    },
    { name: 'an API key that does not read', input: {}, env: { API_KEY_3: 'x' }, want: /API_KEY_3/ },
    { name: 'HS256 without a secret', input: { tokens: { algorithm: 'HS256' } }, want: /needs identity.tokens.secret/ },
    {
      name: 'keys published for longer than they sign',
      input: { tokens: { rotateEvery: '1h', publishBefore: '2h' } },
      want: /shorter than/,
    },
    {
      name: 'an idle time beyond the end',
      input: { sessions: { idleTtl: '9d', absoluteTtl: '1d' } },
      want: /not be longer/,
    },
  ];
  for (const { name, input, env, want } of bad) {
    test(`refuses ${name}`, () => assert.match(compileWith({ enabled: true, ...input }, env).problems.join(), want));
  }
});

describe('the identity feature', () => {
  test('serves on its socket, tells the workers its keys, reports itself, and stops', async (t) => {
    const dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-feature-'));
    t.after(() => rmSync(dataDir, { recursive: true, force: true }));
    const published = new Map<string, unknown>();
    const bus: ControlBus = {
      publish: (topic, data) => void published.set(topic, data),
      onTell: () => {},
      onAsk: () => {},
    };
    const logged: string[] = [];
    const feature = identityFeature({ log: createLogger('warn', (line) => logged.push(line)), bus });
    const { plan } = compileWith({ enabled: true, masterKey: MASTER, firstAdmin: 'off' });
    const compiled = {
      snapshot: { gateway: { trustProxy: [] } },
      plan: { dataDir, sections: { identity: plan } },
    } as never;
    t.after(() => feature.stop?.());
    await feature.start?.(compiled);
    const socket = join(dataDir, 'identity.sock');
    assert.equal(statSync(socket).mode & 0o077, 0, 'for its owner only');
    const { status, body } = await ask(socket, '/.well-known/jwks.json');
    assert.deepEqual([status, JSON.parse(body).keys.length], [200, 1]);
    assert.ok(published.has('identity:keys') && published.has('identity:revoked'));
    assert.deepEqual(feature.dependencies?.(), [{ name: 'identity', available: true, required: false }]);
    assert.ok(feature.metrics?.().some(({ name }) => name === 'gatehouse_identity_tokens_total'));
    assert.deepEqual(feature.restartKeys?.(compiled), []);
    assert.deepEqual(logged, []);
    const other = compileWith({ enabled: true, masterKey: MASTER, defaultPlan: 'premium' }).plan;
    assert.deepEqual(feature.restartKeys?.({ plan: { dataDir, sections: { identity: other } } } as never), [
      'identity',
    ]);
    const metrics = await ask(socket, '/metrics');
    assert.match(
      metrics.body,
      /^# HELP gatehouse_identity_events_total .+\n# TYPE gatehouse_identity_events_total counter/,
    );
    assert.match(metrics.body, /^gatehouse_identity_tokens_total 0$/m);
    await feature.stop?.();
    await assert.rejects(ask(socket, '/health'));
  });

  test('does nothing without the section', async () => {
    const bus: ControlBus = { publish: () => {}, onTell: () => {}, onAsk: () => {} };
    const feature = identityFeature({ log: createLogger('silent'), bus });
    await feature.start?.({ plan: { dataDir: '/nonexistent', sections: {} } } as never);
    assert.deepEqual(feature.dependencies?.(), []);
    await feature.stop?.();
  });
});

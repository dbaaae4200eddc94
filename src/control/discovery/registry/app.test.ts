/** The registration API as services use it: over HTTP on a real socket, with leases on a clock of the test's. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { createAdaptorServer } from '@hono/node-server';
import { FakeTimers } from '../../../../test/support/fake-timers.ts';
import { createLogger } from '../../../base/log.ts';
import type { ErrorFormat } from '../../../data/contract/snapshot.ts';
import { Facts } from '../../facts.ts';
import { createRegistryApp } from './app.ts';
import { fileStore } from './file-store.ts';
import { hashToken, registryOptions, registrySettings } from './options.ts';
import { Registry } from './registry.ts';
import { SharedRegistry } from './shared-registry.ts';
import type { RegistryStore } from './store.ts';
import { memoryStore } from './store.ts';

const TOKEN = 'a-token-of-some-length';

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: bodies are looked at field by field
  readonly body: any;
}

class Api {
  readonly registry: Registry;
  readonly timers: FakeTimers;
  readonly lines: string[];
  readonly current = { tokenHashes: [hashToken(TOKEN)], errorFormat: 'problem' as ErrorFormat };
  readonly #base: string;
  readonly #server: Server;

  private constructor(registry: Registry, timers: FakeTimers, lines: string[], server: Server) {
    this.registry = registry;
    this.timers = timers;
    this.lines = lines;
    this.#server = server;
    this.#base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1/registry`;
  }

  static async start(t: TestContext, timers = new FakeTimers(), store: RegistryStore = memoryStore()): Promise<Api> {
    const lines: string[] = [];
    const log = createLogger('debug', (line) => lines.push(line));
    const { settings } = registrySettings(registryOptions.parse({ token: TOKEN, damping: { after: 2 } }));
    const registry = await Registry.open({ store, clock: timers.clock, timers, log }, settings);
    registry.configure(settings, new Map([['orders', { allow: ['127.0.0.0/8', '10.0.0.0/8'], maxInstances: 3 }]]));
    let api: Api;
    const shared = new SharedRegistry({ registry, facts: new Facts(), clock: timers.clock, timers, log });
    const app = createRegistryApp({ registry: shared, current: () => api.current, clock: timers.clock, log });
    const server = createAdaptorServer({ fetch: app.fetch }) as Server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    api = new Api(registry, timers, lines, server);
    t.after(() => api.stop());
    return api;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.registry.close();
  }

  async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const response = await fetch(this.#base + path, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) };
  }

  register(url: string, more: object = {}): Promise<Answer> {
    return this.call('POST', '/services/orders/instances', { url, ...more });
  }
}

describe('registration API: a life', () => {
  it('registers, is listed, is kept by heartbeats, and leaves', async (t) => {
    const api = await Api.start(t);
    const registered = await api.register('http://10.0.0.7:4001/', {
      weight: 2,
      zone: 'eu-1',
      metadata: { version: '1.2' },
      lease: '10s',
    });
    assert.equal(registered.status, 201);
    const { id, registeredAt, expiresAt, ...rest } = registered.body;
    assert.deepEqual(rest, {
      service: 'orders',
      url: 'http://10.0.0.7:4001',
      weight: 2,
      zone: 'eu-1',
      metadata: { version: '1.2' },
      state: 'active',
      heldUntil: null,
      comebacks: 0,
      leaseMs: 10_000,
      heartbeatMs: 3_333,
    });
    assert.equal(Date.parse(expiresAt) - Date.parse(registeredAt), 10_000);
    const location = registered.headers.get('location');
    assert.equal(location, `/api/v1/registry/services/orders/instances/${id}`);

    await api.timers.advance(6_000);
    const path = `/services/orders/instances/${id}`;
    const kept = await api.call('PUT', `${path}/heartbeat`);
    assert.deepEqual([kept.status, Date.parse(kept.body.expiresAt) - Date.parse(registeredAt)], [200, 16_000]);
    await api.timers.advance(9_000);
    const list = await api.call('GET', '/services/orders/instances');
    assert.deepEqual([list.body.service, list.body.instances[0].id], ['orders', id]);
    const all = await api.call('GET', '/services');
    assert.deepEqual(all.body, { services: [{ service: 'orders', instances: list.body.instances }] });

    assert.equal((await api.call('DELETE', path)).status, 204);
    assert.equal((await api.call('DELETE', path)).status, 404);
    assert.equal((await api.call('PUT', `${path}/heartbeat`)).body.code, 'RESOURCE_NOT_FOUND');
    assert.deepEqual((await api.call('GET', '/services/orders/instances')).body.instances, []);
  });

  it('loses an instance whose heartbeat does not come', async (t) => {
    const api = await Api.start(t);
    const { body } = await api.register('http://10.0.0.7:4001');
    await api.timers.advance(30_000);
    assert.equal((await api.call('PUT', `/services/orders/instances/${body.id}/heartbeat`)).status, 404);
  });

  it('shows a flapping instance as held back', async (t) => {
    const api = await Api.start(t);
    for (let round = 0; round < 2; round++) await api.register('http://10.0.0.7:4001');
    const { status, body } = await api.register('http://10.0.0.7:4001');
    assert.deepEqual([status, body.state, body.comebacks], [200, 'held', 2]);
    assert.ok(Date.parse(body.heldUntil) > api.timers.clock.wallMs());
  });

  it('takes changes with a heartbeat', async (t) => {
    const api = await Api.start(t);
    const { body } = await api.register('http://10.0.0.7:4001');
    const path = `/services/orders/instances/${body.id}/heartbeat`;
    assert.equal((await api.call('PUT', path, { weight: 0 })).body.weight, 0);
    const wrong = await api.call('PUT', path, { url: 'http://10.0.0.8' });
    assert.deepEqual(wrong.body.errors, [{ field: 'url', value: 'http://10.0.0.8', expected: 'no such field' }]);
  });

  it('knows its instances after a restart', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'gatehouse-api-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const path = join(folder, 'registry.json');
    const log = createLogger('silent');
    const timers = new FakeTimers();
    const first = await Api.start(t, timers, fileStore(path, timers, log));
    const { body } = await first.register('http://10.0.0.7:4001');
    await first.stop();
    const again = new FakeTimers(timers.clock);
    const second = await Api.start(t, again, fileStore(path, again, log));
    const kept = await second.call('PUT', `/services/orders/instances/${body.id}/heartbeat`);
    assert.deepEqual([kept.status, kept.body.url], [200, 'http://10.0.0.7:4001']);
  });
});

describe('registration API: who may', () => {
  const wrong = [
    { name: 'no token', authorization: '' },
    { name: 'a wrong token', authorization: 'Bearer a-token-of-some-lengtH' },
    { name: 'a longer token', authorization: `Bearer ${TOKEN}x` },
    { name: 'another scheme', authorization: `Basic ${TOKEN}` },
    { name: 'two tokens', authorization: `Bearer ${TOKEN} ${TOKEN}` },
  ];
  for (const { name, authorization } of wrong) {
    it(`refuses ${name}, on every endpoint, also those that do not exist`, async (t) => {
      const api = await Api.start(t);
      for (const [method, path] of [
        ['POST', '/services/orders/instances'],
        ['GET', '/services'],
        ['GET', '/nothing'],
        ['DELETE', '/services/orders/instances/x'],
      ] as const) {
        const { status, headers, body } = await api.call(method, path, undefined, { authorization });
        assert.deepEqual([status, body.code], [401, 'AUTHENTICATION_REQUIRED']);
        assert.match(headers.get('www-authenticate') ?? '', /^Bearer /);
      }
      assert.ok(!api.lines.join().includes(TOKEN), 'no token in the log');
    });
  }

  it('takes either token while one replaces the other, and what a reload says', async (t) => {
    const api = await Api.start(t);
    const list = async (token: string) =>
      (await api.call('GET', '/services', undefined, { authorization: `bearer ${token}` })).status;
    api.current.tokenHashes.push(hashToken('the-next-token-to-use'));
    assert.deepEqual([await list(TOKEN), await list('the-next-token-to-use')], [200, 200]);
    api.current.tokenHashes.shift();
    assert.deepEqual([await list(TOKEN), await list('the-next-token-to-use')], [401, 200]);
  });

  it('refuses services that take no registrations', async (t) => {
    const api = await Api.start(t);
    const refused = await api.call('POST', '/services/billing/instances', { url: 'http://10.0.0.1' });
    assert.deepEqual(
      [refused.status, refused.body.message],
      [404, 'there is no service "billing" that takes registrations'],
    );
    assert.equal((await api.call('GET', '/services/billing/instances')).status, 404);
  });

  it('refuses more instances than there may be', async (t) => {
    const api = await Api.start(t);
    for (let host = 1; host <= 3; host++) assert.equal((await api.register(`http://10.0.0.${host}`)).status, 201);
    const refused = await api.register('http://10.0.0.4');
    assert.deepEqual([refused.status, refused.body.code], [409, 'REGISTRY_FULL']);
  });
});

describe('registration API: what is wrong with a body', () => {
  const lease = 'a duration from 5s to 10m, such as "30s" or 30000 (milliseconds)';
  const weight = 'a number from 0 to 1000; 0 takes no new traffic';
  const http = 'an http or https URL such as http://10.0.0.7:4001';
  const rows: { name: string; body: unknown; errors: unknown[] }[] = [
    { name: 'no URL', body: {}, errors: [{ field: 'url', value: null, expected: http }] },
    {
      name: 'a URL of another kind',
      body: { url: 'ftp://x' },
      errors: [{ field: 'url', value: 'ftp://x', expected: http }],
    },
    {
      name: 'a password in the URL',
      body: { url: 'http://u:p@x' },
      errors: [{ field: 'url', value: 'http://***@x', expected: 'a URL without user name and password' }],
    },
    {
      name: 'an address that is not allowed',
      body: { url: 'http://11.0.0.1' },
      errors: [
        {
          field: 'url',
          value: 'http://11.0.0.1',
          expected: 'a URL whose host is inside the blocks that `allow` names',
        },
      ],
    },
    {
      name: 'a lease that is too short',
      body: { url: 'http://10.0.0.1', lease: '1s' },
      errors: [{ field: 'lease', value: '1s', expected: lease }],
    },
    {
      name: 'a lease that is too long',
      body: { url: 'http://10.0.0.1', lease: 86_400_000 },
      errors: [{ field: 'lease', value: 86_400_000, expected: lease }],
    },
    {
      name: 'a weight below 0',
      body: { url: 'http://10.0.0.1', weight: -1 },
      errors: [{ field: 'weight', value: -1, expected: weight }],
    },
    {
      name: 'a weight in text',
      body: { url: 'http://10.0.0.1', weight: '2' },
      errors: [{ field: 'weight', value: '2', expected: weight }],
    },
    {
      name: 'a zone that is too long',
      body: { url: 'http://10.0.0.1', zone: 'z'.repeat(65) },
      errors: [{ field: 'zone', value: 'z'.repeat(65), expected: 'a text of 1 to 64 characters, or null' }],
    },
    {
      name: 'an unknown field',
      body: { url: 'http://10.0.0.1', wieght: 2 },
      errors: [{ field: 'wieght', value: 2, expected: 'no such field' }],
    },
    {
      name: 'a number in the metadata',
      body: { url: 'http://10.0.0.1', metadata: { a: 1 } },
      errors: [
        {
          field: 'metadata.a',
          value: 1,
          expected: 'an object of at most 16 texts; keys up to 64 and texts up to 256 characters',
        },
      ],
    },
    { name: 'a list', body: [], errors: [{ field: 'body', value: [], expected: 'a JSON object' }] },
    { name: 'no body', body: undefined, errors: [{ field: 'body', value: null, expected: 'a JSON object' }] },
    { name: 'no JSON', body: '{"url":', errors: [{ field: 'body', value: '{"url":', expected: 'a JSON object' }] },
  ];
  for (const { name, body, errors } of rows) {
    it(`names field, value and expectation of ${name}`, async (t) => {
      const api = await Api.start(t);
      const answer = await api.call('POST', '/services/orders/instances', body);
      assert.deepEqual([answer.status, answer.body.code, answer.body.errors], [400, 'VALIDATION_ERROR', errors]);
    });
  }

  it('names every wrong field', async (t) => {
    const api = await Api.start(t);
    const { body } = await api.call('POST', '/services/orders/instances', { url: 7, weight: 'x', lease: true });
    assert.deepEqual(
      body.errors.map((error: { field: string }) => error.field),
      ['url', 'weight', 'lease'],
    );
  });

  it('refuses more metadata than there may be, and a body that is too large', async (t) => {
    const api = await Api.start(t);
    const metadata = Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`k${n}`, 'v']));
    assert.equal((await api.register('http://10.0.0.1', { metadata })).body.errors[0].field, 'metadata');
    const large = await api.register('http://10.0.0.1', { metadata: { a: 'x'.repeat(20_000) } });
    assert.deepEqual([large.status, large.body.code], [413, 'PAYLOAD_TOO_LARGE']);
  });
});

describe('registration API: shapes of errors', () => {
  const details = { field: 'weight', value: -1, expected: 'a number from 0 to 1000; 0 takes no new traffic' };
  const message = `weight is not valid: expected ${details.expected}`;
  const ask = async (t: TestContext, format: ErrorFormat, headers: Record<string, string> = {}) => {
    const api = await Api.start(t);
    api.current.errorFormat = format;
    const body = { url: 'http://10.0.0.1', weight: -1 };
    const answer = await api.call('POST', '/services/orders/instances', body, { 'x-request-id': 'r-1', ...headers });
    return {
      type: answer.headers.get('content-type'),
      body: answer.body,
      timestamp: new Date(api.timers.clock.wallMs()).toISOString(),
    };
  };

  it('problem (RFC 9457)', async (t) => {
    const { type, body, timestamp } = await ask(t, 'problem');
    assert.equal(type, 'application/problem+json');
    assert.deepEqual(body, {
      type: 'about:blank',
      title: message,
      status: 400,
      instance: '/api/v1/registry/services/orders/instances',
      code: 'VALIDATION_ERROR',
      message,
      errors: [details],
      timestamp,
      request_id: 'r-1',
    });
  });

  it('nested', async (t) => {
    const { body, timestamp } = await ask(t, 'nested');
    assert.deepEqual(body, { error: { code: 'VALIDATION_ERROR', message, details }, timestamp, request_id: 'r-1' });
  });

  it('flat', async (t) => {
    const { body, timestamp } = await ask(t, 'flat');
    assert.deepEqual(body, {
      success: false,
      error_code: 'VALIDATION_ERROR',
      message,
      details,
      timestamp,
      request_id: 'r-1',
    });
  });

  it('problem for who asks for it, whatever is configured', async (t) => {
    assert.equal((await ask(t, 'flat', { accept: 'application/problem+json' })).type, 'application/problem+json');
  });
});

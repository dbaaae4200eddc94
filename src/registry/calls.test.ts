import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { registryCalls } from './calls.ts';
import type { RegisterOptions } from './options.ts';
import { RegistrationError } from './options.ts';

const OPTIONS = { gateway: 'https://gw.test/', token: 't-1', service: 'my orders', url: 'http://10.0.0.1:4001' };

interface Seen {
  readonly url: string;
  readonly init: RequestInit;
}

/** Calls whose answers the test gives. */
function fake(answer: () => Response, more: Partial<RegisterOptions> = {}) {
  const seen: Seen[] = [];
  const calls = registryCalls({
    ...OPTIONS,
    ...more,
    fetch: async (url, init) => {
      seen.push({ url: String(url), init: init ?? {} });
      return answer();
    },
  });
  return { calls, seen };
}

const granted = () => Response.json({ id: 'i/1', leaseMs: 30_000, state: 'active' });

describe('calls of the registration API', () => {
  it('go below the given path, with the token, with names escaped', async () => {
    const { calls, seen } = fake(granted, { path: '/registry' });
    await calls.register({ weight: 2 });
    await calls.heartbeat('i/1', {});
    await calls.deregister('i/1');
    const base = 'https://gw.test/registry/services/my%20orders/instances';
    assert.deepEqual(
      seen.map(({ url, init }) => [init.method, url, init.body ?? null]),
      [
        ['POST', base, '{"url":"http://10.0.0.1:4001","weight":2}'],
        ['PUT', `${base}/i%2F1/heartbeat`, null],
        ['DELETE', `${base}/i%2F1`, null],
      ],
    );
    for (const { init } of seen) {
      assert.equal(new Headers(init.headers).get('authorization'), 'Bearer t-1');
      assert.equal(init.redirect, 'error', 'the token goes nowhere else');
    }
  });

  it('send the lease as it was given', async () => {
    const { calls, seen } = fake(granted, { lease: '1m' });
    await calls.register({});
    assert.equal(seen[0]?.init.body, '{"url":"http://10.0.0.1:4001","lease":"1m"}');
  });

  const refusals = [
    { name: 'a problem (RFC 9457)', body: '{"code":"A","message":"b"}', want: ['A', 'b'] },
    { name: 'a nested error', body: '{"error":{"code":"A","message":"b"}}', want: ['A', 'b'] },
    { name: 'a flat error', body: '{"success":false,"error_code":"A","message":"b"}', want: ['A', 'b'] },
    { name: 'a page of somebody else', body: '<html>', want: ['HTTP_400', 'the gateway answered 400'] },
    { name: 'JSON of somebody else', body: '"no"', want: ['HTTP_400', 'the gateway answered 400'] },
  ];
  for (const { name, body, want } of refusals) {
    it(`read ${name}`, async () => {
      const { calls } = fake(() => new Response(body, { status: 400 }));
      await assert.rejects(calls.register({}), (error) => {
        assert.ok(error instanceof RegistrationError);
        assert.deepEqual([error.code, error.message, error.status], [...want, 400]);
        return true;
      });
    });
  }

  it('refuse an answer without a lease', async () => {
    for (const body of ['{}', 'null', '{"id":"x"}', '{"id":"x","leaseMs":0}', '{"id":7,"leaseMs":1}']) {
      await assert.rejects(fake(() => new Response(body)).calls.register({}), /not one of a gateway registry/);
    }
  });

  it('refuse a gateway that is no URL, before anything is sent', () => {
    assert.throws(() => registryCalls({ ...OPTIONS, gateway: 'gateway:8000 ' }), /gateway must be a URL/);
    assert.throws(() => registryCalls({ ...OPTIONS, gateway: 'gateway' }), TypeError);
  });

  it('give up a call that takes too long', async () => {
    const calls = registryCalls({
      ...OPTIONS,
      timeout: 5,
      fetch: (_, init) =>
        new Promise((_resolve, reject) => {
          init?.signal?.addEventListener('abort', () => reject(init.signal?.reason as Error));
          // AbortSignal.timeout does not keep the process alive; a socket would.
          setTimeout(() => {}, 1_000).unref();
        }),
    });
    const keepAlive = setInterval(() => {}, 1_000);
    await assert.rejects(calls.register({}), { name: 'TimeoutError' });
    clearInterval(keepAlive);
  });
});

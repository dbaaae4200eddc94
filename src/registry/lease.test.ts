/** The life of a lease against the real registration API, on a clock of the test's. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { FakeTimers, turn } from '../../test/support/fake-timers.ts';
import { REGISTRATION_TOKEN, RegistryServer } from '../../test/support/registry-server.ts';
import { until } from '../../test/support/until.ts';
import type { RegistryCalls } from './calls.ts';
import { registryCalls } from './calls.ts';
import { KeptLease } from './lease.ts';
import type { LeaseEvent, RegisterOptions } from './options.ts';
import { RegistrationError } from './options.ts';

const URL_A = 'http://10.0.0.7:4001';

async function gateway(t: TestContext): Promise<RegistryServer> {
  const server = await RegistryServer.start();
  t.after(() => server.stop());
  return server;
}

interface Member {
  readonly lease: KeptLease;
  readonly events: LeaseEvent[];
  readonly timers: FakeTimers;
  readonly keepsAlive: () => boolean;
  /** Fires the next timer and waits for its call to end. */
  next(): Promise<void>;
}

function member(t: TestContext, server: RegistryServer, more: Partial<RegisterOptions> = {}, random = 0.5): Member {
  const options = { gateway: server.url, token: REGISTRATION_TOKEN, service: 'orders', url: URL_A, ...more };
  return withCalls(t, registryCalls(options), random);
}

function withCalls(t: TestContext, calls: RegistryCalls, random = 0.5): Member {
  const timers = new FakeTimers();
  const events: LeaseEvent[] = [];
  let keepsAlive = false;
  const tools = {
    after: (ms: number, keepAlive: boolean, run: () => void) => {
      keepsAlive = keepAlive;
      return timers.after(ms, run);
    },
    random: () => random,
  };
  const lease = new KeptLease(calls, {}, tools, (event) => events.push(event));
  t.after(() => lease.close());
  const next = async (): Promise<void> => {
    await timers.advance(timers.nextInMs ?? 0);
    await until(() => timers.pending === 1, 'the next timer');
  };
  return { lease, events, timers, keepsAlive: () => keepsAlive, next };
}

const types = (events: readonly LeaseEvent[]): string[] => events.map((event) => event.type);

describe('a lease', () => {
  it('registers, beats at a third of the lease, and leaves', async (t) => {
    const server = await gateway(t);
    const { lease, events, timers, next } = member(t, server, { lease: '12s' });
    await lease.open();
    assert.deepEqual([lease.state, server.registered], ['active', [URL_A]]);
    assert.equal(timers.nextInMs, 4_000);
    await next();
    await next();
    await lease.close();
    assert.deepEqual(server.registered, []);
    const path = '/api/v1/registry/services/orders/instances';
    const { id } = lease;
    assert.deepEqual(server.calls, [
      `POST ${path}`,
      `PUT ${path}/${id}/heartbeat`,
      `PUT ${path}/${id}/heartbeat`,
      `DELETE ${path}/${id}`,
    ]);
    assert.deepEqual(events, [{ type: 'registered', id, again: false, held: false }, { type: 'closed' }]);
    assert.deepEqual([lease.state, timers.pending], ['closed', 0]);
  });

  for (const [random, wantMs] of [
    [0, 9_000],
    [0.999_999_9, 11_000],
  ] as const) {
    it(`spreads heartbeats by a tenth (chance ${random})`, async (t) => {
      const { lease, timers } = member(t, await gateway(t), {}, random);
      await lease.open();
      assert.equal(Math.round(timers.nextInMs ?? 0), wantMs);
    });
  }

  it('does not keep the process alive once registered, and does before', async (t) => {
    const server = await gateway(t);
    server.refuseWith = 503;
    const { lease, timers, keepsAlive } = member(t, server);
    const opening = lease.open();
    await until(() => timers.pending === 1, 'a retry is planned');
    assert.equal(keepsAlive(), true);
    server.refuseWith = null;
    await timers.advance(timers.nextInMs ?? 0);
    await opening;
    assert.equal(keepsAlive(), false);
  });

  it('registers again when the gateway has forgotten it, with what was changed since', async (t) => {
    const server = await gateway(t);
    const { lease, events, next } = member(t, server);
    await lease.open();
    await lease.update({ weight: 5, zone: 'eu', metadata: { v: '2' } });
    await server.forget();
    await next();
    const [found] = server.registry.list('orders') ?? [];
    assert.deepEqual([found?.url, found?.weight, found?.zone, found?.metadata], [URL_A, 5, 'eu', { v: '2' }]);
    assert.equal(found?.id, lease.id);
    assert.deepEqual(events.at(-1), { type: 'registered', id: lease.id, again: true, held: false });
  });

  it('goes on trying, at growing distances, while the gateway is away, and recovers', async (t) => {
    const server = await gateway(t);
    const { lease, events, timers, next } = member(t, server, {}, 0);
    await lease.open();
    await server.stop();
    const waits: number[] = [];
    for (let round = 0; round < 7; round++) {
      await next();
      waits.push(timers.nextInMs ?? -1);
    }
    assert.deepEqual(waits, [250, 500, 1_000, 2_000, 4_000, 7_500, 7_500]);
    assert.equal(lease.state, 'lost');
    assert.match(events.find((event) => event.type === 'failed')?.reason ?? '', /ECONNREFUSED/);
    await server.restart();
    await next();
    assert.deepEqual([lease.state, events.at(-1)?.type], ['active', 'recovered']);
    assert.equal(timers.nextInMs, 9_000);
  });

  it('shows that it is held back for coming and going', async (t) => {
    const server = await gateway(t);
    for (let round = 0; round < 3; round++) {
      const { lease } = member(t, server);
      await lease.open();
      await lease.close();
    }
    const { lease, events } = member(t, server);
    await lease.open();
    assert.equal(lease.state, 'held');
    assert.deepEqual(events[0], { type: 'registered', id: lease.id, again: false, held: true });
  });
});

describe('a first registration', () => {
  const mistakes = [
    {
      name: 'a wrong token',
      more: { token: 'another-token-of-some-length' },
      status: 401,
      code: 'AUTHENTICATION_REQUIRED',
    },
    {
      name: 'a service that takes no registrations',
      more: { service: 'billing' },
      status: 404,
      code: 'RESOURCE_NOT_FOUND',
    },
    { name: 'a URL that is none', more: { url: 'orders:4001' }, status: 400, code: 'VALIDATION_ERROR' },
    { name: 'a lease out of bounds', more: { lease: '1d' }, status: 400, code: 'VALIDATION_ERROR' },
    { name: 'a wrong path', more: { path: '/api/v2/registry' }, status: 404, code: 'RESOURCE_NOT_FOUND' },
  ];
  for (const { name, more, status, code } of mistakes) {
    it(`rejects at once on ${name}`, async (t) => {
      const { lease, timers } = member(t, await gateway(t), more);
      await assert.rejects(lease.open(), (error) => {
        assert.ok(error instanceof RegistrationError);
        assert.deepEqual([error.status, error.code], [status, code]);
        assert.ok(!error.message.includes('another-token'));
        return true;
      });
      assert.equal(timers.pending, 0);
    });
  }

  for (const status of [409, 429, 500, 503]) {
    it(`tries again on ${status}`, async (t) => {
      const server = await gateway(t);
      server.refuseWith = status;
      const { lease, timers } = member(t, server);
      const opening = lease.open();
      await until(() => timers.pending === 1, 'a retry is planned');
      server.refuseWith = null;
      await timers.advance(timers.nextInMs ?? 0);
      await opening;
      assert.deepEqual(server.registered, [URL_A]);
    });
  }

  it('waits for a gateway that starts later', async (t) => {
    const server = await gateway(t);
    await server.stop();
    const { lease, timers, events } = member(t, server);
    const opening = lease.open();
    await until(() => timers.pending === 1, 'a retry is planned');
    await server.restart();
    await timers.advance(timers.nextInMs ?? 0);
    await opening;
    assert.deepEqual(types(events), ['failed', 'registered']);
  });

  it('is given up by its signal, while it waits and while it calls', async (t) => {
    const server = await gateway(t);
    server.refuseWith = 503;
    const waiting = member(t, server);
    const whileWaiting = new AbortController();
    const opening = waiting.lease.open(whileWaiting.signal);
    await until(() => waiting.timers.pending === 1, 'a retry is planned');
    whileWaiting.abort(new Error('enough'));
    await assert.rejects(opening, /enough/);
    assert.equal(waiting.timers.pending, 0);

    server.refuseWith = null;
    const calling = member(t, server);
    const whileCalling = new AbortController();
    const called = calling.lease.open(whileCalling.signal);
    whileCalling.abort(new Error('enough'));
    await assert.rejects(called, /enough/);
    assert.deepEqual(server.registered, [], 'what was registered meanwhile has left again');
  });

  it('rejects on an answer that is not of a registry, after saying so, only when given up', async (t) => {
    const calls = registryCalls({
      gateway: 'http://gw.test',
      token: 'x',
      service: 'orders',
      url: URL_A,
      fetch: async () => new Response('{"hello":"world"}'),
    });
    const { lease, events, timers } = withCalls(t, calls);
    const controller = new AbortController();
    const opening = lease.open(controller.signal);
    await until(() => timers.pending === 1, 'a retry is planned');
    controller.abort();
    await assert.rejects(opening);
    assert.match(events[0]?.type === 'failed' ? events[0].reason : '', /not one of a gateway registry/);
  });
});

describe('changes', () => {
  it('reach the gateway at once, and the next heartbeat is planned anew', async (t) => {
    const server = await gateway(t);
    const { lease, timers } = member(t, server);
    await lease.open();
    await timers.advance(6_000);
    await lease.update({ weight: 0 });
    assert.equal(server.registry.list('orders')?.[0]?.weight, 0);
    assert.deepEqual([timers.nextInMs, timers.pending], [10_000, 1]);
  });

  it('that could not be told go with the next heartbeat', async (t) => {
    const server = await gateway(t);
    const { lease, next } = member(t, server);
    await lease.open();
    server.refuseWith = 503;
    await assert.rejects(
      lease.update({ weight: 0 }),
      (error) => error instanceof RegistrationError && error.status === 503,
    );
    server.refuseWith = null;
    await next();
    assert.equal(server.registry.list('orders')?.[0]?.weight, 0);
  });

  it('are refused after close', async (t) => {
    const { lease } = member(t, await gateway(t));
    await lease.open();
    await lease.close();
    await assert.rejects(lease.update({ weight: 0 }), /closed/);
  });
});

describe('leaving', () => {
  it('waits for a registration that is under way, and ends it too', async (t) => {
    const server = await gateway(t);
    const { lease, timers } = member(t, server);
    await lease.open();
    await server.forget();
    void timers.advance(timers.nextInMs ?? 0);
    await until(() => server.calls.length === 2, 'the heartbeat is under way');
    await lease.close();
    assert.deepEqual(server.registered, []);
    await turn();
    assert.equal(timers.pending, 0);
  });

  it('does not mind that the gateway is away, nor being asked twice', async (t) => {
    const server = await gateway(t);
    const { lease, events } = member(t, server);
    await lease.open();
    await server.stop();
    await Promise.all([lease.close(), lease.close()]);
    assert.deepEqual(types(events), ['registered', 'closed']);
  });
});

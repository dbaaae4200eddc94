/** The DNS source against a name server of the test's own: TTL, change, failure and emptiness are real. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { DnsServer } from '../../../test/support/dns-server.ts';
import { turn } from '../../../test/support/fake-timers.ts';
import { until } from '../../../test/support/until.ts';
import type { DnsSettings } from './dns.ts';
import { dnsSource } from './dns.ts';
import { srvWeights } from './dns-records.ts';
import type { Started } from './source.suite.ts';
import { seen, sourceSuite, startSource } from './source.suite.ts';

const SETTINGS: DnsSettings = {
  name: 'projects.test',
  type: 'A',
  port: 4001,
  scheme: 'http',
  minTtlMs: 5_000,
  maxTtlMs: 60_000,
  intervalMs: 30_000,
  timeoutMs: 200,
  servers: [],
  whenEmpty: 'keep',
  weight: 1,
  zone: null,
};

async function nameServer(t: TestContext): Promise<DnsServer> {
  const server = await DnsServer.start();
  t.after(() => server.close());
  return server;
}

async function startDns(
  t: TestContext,
  server: DnsServer,
  more: Partial<DnsSettings> = {},
  random = () => 0,
): Promise<Started> {
  const started = startSource(t, dnsSource, { ...SETTINGS, servers: [server.address], ...more }, { random });
  await until(() => started.told.problems.length > 0, 'a first answer');
  return started;
}

/** How long after its answer the source asks again; found by the timer that it holds. */
async function nextLook(started: Started): Promise<number> {
  await until(() => started.timers.pending > 0, 'the next look is planned');
  return started.timers.nextInMs ?? -1;
}

sourceSuite('dns', async (t) => {
  const server = await nameServer(t);
  server.setAddresses('projects.test', 10, '10.0.0.2', '10.0.0.1');
  return {
    start: () => startSource(t, dnsSource, { ...SETTINGS, servers: [server.address] }),
    first: ['http://10.0.0.1:4001', 'http://10.0.0.2:4001'],
    change: async () => {
      server.setAddresses('projects.test', 10, '10.0.0.2', '10.0.0.3');
      return ['http://10.0.0.2:4001', 'http://10.0.0.3:4001'];
    },
    break: async () => {
      server.mood = 'servfail';
    },
    mend: async () => {
      server.mood = 'answer';
    },
    lookMs: 10_000,
  };
});

describe('dns source: when it looks again', () => {
  it('asks again when the shortest TTL of the answer is over, and not sooner', async (t) => {
    const server = await nameServer(t);
    server.records.set('projects.test', [
      { type: 'A', address: '10.0.0.1', ttl: 40 },
      { type: 'A', address: '10.0.0.2', ttl: 12 },
    ]);
    const started = await startDns(t, server);
    assert.equal(await nextLook(started), 12_000);
    server.setAddresses('projects.test', 20, '10.0.0.9');
    await started.timers.advance(11_999);
    assert.equal(server.questions.length, 1);
    await started.timers.advance(1);
    await until(() => started.told.urls.join() === 'http://10.0.0.9:4001', 'the new address');
    assert.equal(await nextLook(started), 20_000);
  });

  const bounds = [
    { name: 'keeps to the lower bound when the TTL is 0', ttl: 0, random: 0, want: 5_000 },
    { name: 'keeps to the upper bound when the TTL is a day', ttl: 86_400, random: 0, want: 60_000 },
    { name: 'adds at most a tenth by chance', ttl: 10, random: 0.999_999_9, want: 11_000 },
  ];
  for (const { name, ttl, random, want } of bounds) {
    it(name, async (t) => {
      const server = await nameServer(t);
      server.setAddresses('projects.test', ttl, '10.0.0.1');
      const started = await startDns(t, server, {}, () => random);
      assert.equal(Math.round(await nextLook(started)), want);
    });
  }

  it('tries again sooner after a failure, at growing distances up to half a minute', async (t) => {
    const server = await nameServer(t);
    server.mood = 'servfail';
    const started = await startDns(t, server);
    const waits: number[] = [];
    for (let round = 1; round <= 8; round++) {
      await until(() => started.timers.pending > 0, `retry ${round} is planned`);
      waits.push(started.timers.nextInMs ?? -1);
      await started.timers.advance(started.timers.nextInMs ?? 0);
    }
    assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
  });
});

describe('dns source: what it tells', () => {
  it('finds IPv6 addresses', async (t) => {
    const server = await nameServer(t);
    server.setAddresses('projects.test', 10, '2001:db8::7');
    const { told } = await startDns(t, server, { type: 'AAAA', scheme: 'https', zone: 'eu-1', weight: 3 });
    assert.deepEqual(told.last, [
      { url: 'https://[2001:db8::7]:4001', weight: 3, zone: 'eu-1', healthy: true, metadata: {}, priority: 0 },
    ]);
  });

  it('does not take another order of the same addresses for a change', async (t) => {
    const server = await nameServer(t);
    server.setAddresses('projects.test', 10, '10.0.0.1', '10.0.0.2');
    const { told, timers } = await startDns(t, server);
    server.setAddresses('projects.test', 10, '10.0.0.2', '10.0.0.1');
    await seen(timers, 10_000, () => told.lists.length >= 2, 'a second list');
    assert.deepEqual(told.lists[1], told.lists[0]);
  });

  const failures = ['silent', 'servfail', 'nonsense'] as const;
  for (const mood of failures) {
    it(`keeps the last good answer while the name server is ${mood}`, async (t) => {
      const server = await nameServer(t);
      server.setAddresses('projects.test', 10, '10.0.0.1');
      const { told, timers } = await startDns(t, server);
      server.mood = mood;
      await seen(timers, 10_000, () => typeof told.problem === 'string', 'a problem');
      assert.deepEqual(told.urls, ['http://10.0.0.1:4001']);
    });
  }

  it('tells a problem and no list when the very first look fails', async (t) => {
    const server = await nameServer(t);
    server.mood = 'servfail';
    const { told } = await startDns(t, server);
    assert.match(told.problem ?? '', /ESERVFAIL/);
    assert.equal(told.lists.length, 0);
  });

  it('keeps the last addresses of a name that has none any more, and says so', async (t) => {
    const server = await nameServer(t);
    server.setAddresses('projects.test', 10, '10.0.0.1');
    const { told, timers } = await startDns(t, server);
    server.records.delete('projects.test');
    await seen(timers, 10_000, () => typeof told.problem === 'string', 'a problem');
    assert.equal(told.problem, 'projects.test has no A records any more; keeping the last 1');
    assert.deepEqual(told.urls, ['http://10.0.0.1:4001']);
  });

  it('takes the instances away when the name is empty and `whenEmpty` says remove', async (t) => {
    const server = await nameServer(t);
    server.setAddresses('projects.test', 10, '10.0.0.1');
    const { told, timers } = await startDns(t, server, { whenEmpty: 'remove' });
    server.records.set('projects.test', []);
    await seen(timers, 10_000, () => told.urls.length === 0, 'an empty list');
    assert.equal(told.problem, 'projects.test has no A records');
  });
});

describe('dns source: SRV', () => {
  const srv = (target: string, port: number, priority = 0, weight = 1) =>
    ({ type: 'SRV', target, port, priority, weight, ttl: 3_600 }) as const;
  const name = '_http._tcp.projects.test';

  it('looks up targets with the same name server and brings ports, shares and priorities', async (t) => {
    const server = await nameServer(t);
    server.records.set(name, [srv('a.test', 81, 0, 30), srv('b.test', 82, 0, 10), srv('c.test', 83, 5, 0)]);
    server.setAddresses('a.test', 20, '10.0.0.1', '10.0.0.2');
    server.setAddresses('b.test', 20, '10.0.0.3');
    server.setAddresses('c.test', 20, '2001:db8::1');
    const { told } = await startDns(t, server, { name, type: 'SRV', port: 0 });
    assert.deepEqual(
      told.last?.map(({ url, weight, priority, metadata }) => [url, weight, priority, metadata['target']]),
      [
        ['http://10.0.0.1:81', 1.5, 0, 'a.test'],
        ['http://10.0.0.2:81', 1.5, 0, 'a.test'],
        ['http://10.0.0.3:82', 0.5, 0, 'b.test'],
        ['http://[2001:db8::1]:83', 1, 5, 'c.test'],
      ],
    );
  });

  it('asks again at the interval, or sooner when an address runs out before', async (t) => {
    const server = await nameServer(t);
    server.records.set(name, [srv('a.test', 81)]);
    server.setAddresses('a.test', 3_600, '10.0.0.1');
    assert.equal(await nextLook(await startDns(t, server, { name, type: 'SRV', port: 0 })), 30_000);
    server.setAddresses('a.test', 7, '10.0.0.1');
    assert.equal(await nextLook(await startDns(t, server, { name, type: 'SRV', port: 0 })), 7_000);
  });

  it('keeps what it knew of a target whose look-up fails, and takes the rest anew', async (t) => {
    const server = await nameServer(t);
    server.records.set(name, [srv('a.test', 81), srv('b.test', 82)]);
    server.setAddresses('a.test', 20, '10.0.0.1');
    server.setAddresses('b.test', 20, '10.0.0.2');
    const { told, timers } = await startDns(t, server, { name, type: 'SRV', port: 0 });
    server.moods.set('a.test', 'servfail');
    server.setAddresses('b.test', 20, '10.0.0.9');
    await seen(timers, 20_000, () => told.urls.includes('http://10.0.0.9:82'), 'the new address of b');
    assert.deepEqual(told.urls, ['http://10.0.0.1:81', 'http://10.0.0.9:82']);
    assert.match(told.problem ?? '', /^target a\.test: .*ESERVFAIL/);
  });

  it('reads the target "." as: the service is decidedly not there', async (t) => {
    const server = await nameServer(t);
    server.records.set(name, [srv('.', 0)]);
    const { told } = await startDns(t, server, { name, type: 'SRV', port: 0, whenEmpty: 'remove' });
    assert.deepEqual(told.urls, []);
    assert.equal(told.problem, `${name} has no SRV records`);
  });

  it('shares by weight within a priority, with next to nothing for a weight of 0 (RFC 2782)', () => {
    const record = (priority: number, weight: number) => ({ name: 'x', port: 1, priority, weight });
    const records = [record(0, 0), record(0, 65_535), record(1, 0), record(1, 0), record(2, 5)];
    assert.deepEqual([...srvWeights(records).values()], [0.01, 2, 1, 1, 1]);
  });
});

describe('dns source: stopping', () => {
  it('gives up a question that is under way', async (t) => {
    const server = await nameServer(t);
    server.mood = 'silent';
    const { told, source, timers } = startSource(t, dnsSource, { ...SETTINGS, servers: [server.address] });
    await until(() => server.questions.length > 0, 'a question');
    source.stop();
    for (let round = 0; round < 10; round++) await turn();
    assert.deepEqual([told.lists.length, told.problems.length, timers.pending], [0, 0, 0]);
  });
});

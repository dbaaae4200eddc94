/** Short names, with files of the test's own and a name server that counts what it is asked. */
import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import { DnsServer } from '../../../test/support/dns-server.ts';
import type { DnsSettings } from './dns.ts';
import { DnsLookup } from './dns-records.ts';
import type { SystemFiles } from './system-names.ts';
import { hostsAddresses, namesToAsk } from './system-names.ts';

async function filesWith(t: TestContext, hosts: string, resolver: string): Promise<SystemFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-names-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const files = { hosts: join(folder, 'hosts'), resolver: join(folder, 'resolv.conf') };
  await writeFile(files.hosts, hosts);
  await writeFile(files.resolver, resolver);
  return files;
}

const KUBERNETES = `nameserver 10.96.0.10
search shop.svc.cluster.local svc.cluster.local. cluster.local # of the pod
options edns0 ndots:5
`;

async function lookupWith(t: TestContext, files: SystemFiles, more: Partial<DnsSettings>) {
  const server = await DnsServer.start();
  t.after(() => server.close());
  const resolver = new Resolver({ timeout: 200, tries: 1 });
  resolver.setServers([server.address]);
  t.after(() => resolver.cancel());
  const settings: DnsSettings = {
    name: 'projects',
    type: 'A',
    port: 4001,
    scheme: 'http',
    minTtlMs: 0,
    maxTtlMs: 60_000,
    intervalMs: 30_000,
    timeoutMs: 200,
    servers: [],
    whenEmpty: 'keep',
    weight: 1,
    zone: null,
    ...more,
  };
  return { server, lookup: new DnsLookup(settings, resolver, files) };
}

const urls = ({ instances }: { readonly instances: readonly { readonly url: string }[] }) =>
  instances.map(({ url }) => url);

test('names are asked for as the machine would ask', async (t) => {
  const files = await filesWith(t, '', KUBERNETES);
  const domains = ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local'];
  const under = (name: string) => domains.map((domain) => `${name}.${domain}`);
  assert.deepEqual(await namesToAsk(files, 'projects'), [...under('projects'), 'projects']);
  assert.deepEqual(await namesToAsk(files, 'projects.shop'), [...under('projects.shop'), 'projects.shop']);
  assert.deepEqual(await namesToAsk(files, 'a.b.c.d.e.f'), ['a.b.c.d.e.f', ...under('a.b.c.d.e.f')]);
  assert.deepEqual(await namesToAsk(files, 'projects.internal.'), ['projects.internal']);
  const usual = await filesWith(t, '', '; plain\ndomain old.example\nsearch example.com\n');
  assert.deepEqual(await namesToAsk(usual, 'projects'), ['projects.example.com', 'projects']);
  assert.deepEqual(await namesToAsk(usual, 'projects.internal'), [
    'projects.internal',
    'projects.internal.example.com',
  ]);
  assert.deepEqual(await namesToAsk({ hosts: '/nowhere', resolver: '/nowhere' }, 'projects'), ['projects']);
});

test('a short name is found in the first search domain that has it, with the TTL that it has there', async (t) => {
  const { server, lookup } = await lookupWith(t, await filesWith(t, '', KUBERNETES), {});
  server.setAddresses('projects.svc.cluster.local', 7, '10.0.0.2', '10.0.0.1');
  const answer = await lookup.ask();
  assert.deepEqual(urls(answer), ['http://10.0.0.1:4001', 'http://10.0.0.2:4001']);
  assert.equal(answer.waitMs, 7_000);
  assert.deepEqual(server.questions, ['A projects.shop.svc.cluster.local', 'A projects.svc.cluster.local']);
});

test('SRV names have search domains too', async (t) => {
  const { server, lookup } = await lookupWith(t, await filesWith(t, '', KUBERNETES), {
    type: 'SRV',
    name: '_http._tcp.projects',
  });
  server.records.set('_http._tcp.projects.shop.svc.cluster.local', [
    { type: 'SRV', priority: 0, weight: 1, port: 4100, target: 'one.internal', ttl: 5 },
  ]);
  server.setAddresses('one.internal', 5, '10.0.0.9');
  assert.deepEqual(urls(await lookup.ask()), ['http://10.0.0.9:4100']);
});

test('the hosts file goes first, and the servers are not asked for what is in it', async (t) => {
  const hosts =
    '127.0.0.1 localhost\n10.0.0.7\tProjects projects.internal # two names\n::7 projects\n10.0.0.8 projects\n';
  const files = await filesWith(t, hosts, KUBERNETES);
  const { server, lookup } = await lookupWith(t, files, {});
  server.setAddresses('projects.shop.svc.cluster.local', 7, '10.0.0.1');
  assert.deepEqual(urls(await lookup.ask()), ['http://10.0.0.7:4001', 'http://10.0.0.8:4001']);
  assert.deepEqual(server.questions, []);
  assert.deepEqual(await hostsAddresses(files, 'projects.', 'AAAA'), ['::7']);
  await writeFile(files.hosts, '');
  assert.deepEqual(urls(await lookup.ask()), ['http://10.0.0.1:4001'], 'read anew');
});

test('a domain whose servers fail hides none that answers, and is said when none has the name', async (t) => {
  const { server, lookup } = await lookupWith(t, await filesWith(t, '', KUBERNETES), {});
  server.moods.set('projects.shop.svc.cluster.local', 'servfail');
  server.setAddresses('projects.cluster.local', 7, '10.0.0.1');
  assert.deepEqual(urls(await lookup.ask()), ['http://10.0.0.1:4001']);
  server.records.clear();
  await assert.rejects(lookup.ask(), /ESERVFAIL/);
});

test('name servers of its own are asked for the whole name and nothing else', async (t) => {
  const files = await filesWith(t, '10.0.0.7 users.service.consul\n', KUBERNETES);
  const { server, lookup } = await lookupWith(t, files, { name: 'users.service.consul', servers: ['127.0.0.1:53'] });
  assert.deepEqual((await lookup.ask()).instances, []);
  assert.deepEqual(server.questions, ['A users.service.consul']);
});

/** Instances that come and go by DNS, by file, and by their own registration, each while callers go on asking. */
import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import { DnsServer } from '../support/dns-server.ts';
import { endScene, PROTECTED } from '../support/fault-scene.ts';
import { Fleet } from '../support/fleet.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { Load } from '../support/measured-load.ts';
import { until } from '../support/until.ts';

const PATIENCE_MS = 9_000;
const TOKEN = 'a-token-of-some-length';

function startGateway(t: TestContext, service: object, more: object = {}): Promise<TestGateway> {
  return startTestGateway(t, {
    gateway: { workers: 2 },
    services: { work: { ...PROTECTED, ...service } },
    routes: [{ match: { path: '/w/*' }, service: 'work', auth: 'public' }],
    ...more,
  });
}

async function startLoad(t: TestContext, gateway: TestGateway): Promise<Load> {
  const load = new Load(gateway.port, { callers: { GET: 4, PUT: 2, POST: 2 } });
  t.after(() => load.stop());
  await load.more(10);
  return load;
}

/** Traffic has reached `name`. */
function reaches(load: Load, name: string): Promise<void> {
  const before = load.GET.answered(name);
  return until(() => load.GET.answered(name) >= before + 10, `traffic at ${name}`, PATIENCE_MS);
}

/** Workers have let go of `name`: between two looks it got nothing while others did. */
async function leaves(load: Load, name: string): Promise<void> {
  for (let before = -1; before !== load.GET.answered(name); ) {
    before = load.GET.answered(name);
    await load.more(10);
  }
}

test('DNS names another address, goes silent, and names both', async (t) => {
  const fleet = await Fleet.start(t, ['old']);
  const old = fleet.get('old');
  // A and AAAA records carry no port, so the instances differ in the address.
  const fresh = await fleet.add('new', '127.0.0.2', old.port);
  const dns = await DnsServer.start();
  t.after(() => dns.close());
  dns.setAddresses('work.test', 0, old.host);
  const gateway = await startGateway(t, {
    discovery: {
      dns: { name: 'work.test', port: old.port, servers: [dns.address], minTtl: '100ms', timeout: '200ms' },
    },
  });
  const load = await startLoad(t, gateway);
  assert.equal(load.GET.answered('new'), 0);

  dns.setAddresses('work.test', 0, fresh.host);
  await reaches(load, 'new');
  await leaves(load, 'old');
  await old.kill();

  dns.mood = 'silent';
  await until(() => gateway.logged.some((line) => line.includes('discovery problem')), 'the problem told', PATIENCE_MS);
  await load.more(20);

  await old.start();
  dns.setAddresses('work.test', 0, old.host, fresh.host);
  dns.mood = 'answer';
  await reaches(load, 'old');
  await reaches(load, 'new');
  await endScene(t, { fleet, gateway, load });
  assert.deepEqual([load.POST.lost, load.GET.lost], [0, 0]);
});

test('a file names other instances; a broken one changes nothing', async (t) => {
  const fleet = await Fleet.start(t, ['a', 'b', 'c']);
  const folder = await mkdtemp(join(tmpdir(), 'gh-file-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'work.json');
  const replace = async (text: string): Promise<void> => {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  };
  const list = (...names: string[]) => replace(JSON.stringify(names.map((name) => fleet.get(name).url)));
  await list('a', 'b');
  const gateway = await startGateway(t, { discovery: { file: { path, pollInterval: '200ms' } } });
  const load = await startLoad(t, gateway);

  await list('b', 'c');
  await reaches(load, 'c');
  await leaves(load, 'a');
  await fleet.get('a').kill();

  await replace('[ "http://127.0.0.1:1", { "weight": 2 } ]');
  await until(() => gateway.logged.some((line) => line.includes('discovery problem')), 'the problem told', PATIENCE_MS);
  await reaches(load, 'b');

  await fleet.get('a').start();
  await list('a');
  await reaches(load, 'a');
  await leaves(load, 'b');
  await leaves(load, 'c');
  await endScene(t, { fleet, gateway, load });
  assert.equal(load.POST.lost, 0);
});

test('registered instances die and hang: their leases run out, and one that goes on is back', async (t) => {
  const fleet = await Fleet.start(t, ['a', 'b', 'c']);
  const gateway = await startGateway(
    t,
    { discovery: { registry: true } },
    { registry: { token: TOKEN, lease: { min: '1s', default: '1s' }, damping: 'off' } },
  );
  const registration = { gateway: gateway.url, token: TOKEN, service: 'work', lease: '1s' };
  await Promise.all(fleet.instances.map((instance) => instance.register(registration)));
  const instances = () => gateway.primary.opsSources().services[0]!.instances.length;
  await until(() => instances() === 3, 'three instances', PATIENCE_MS);
  const load = await startLoad(t, gateway);

  await fleet.get('a').kill();
  fleet.get('b').stop();
  await until(() => instances() === 1, 'two leases run out', PATIENCE_MS);
  assert.equal(gateway.logged.filter((line) => line.includes('heartbeat lost')).length, 2);
  await load.more(20);

  fleet.get('b').resume();
  await reaches(load, 'b');
  await endScene(t, { fleet, gateway, load });
});

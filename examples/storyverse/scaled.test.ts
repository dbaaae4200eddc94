/**
 * The deployment's configuration with real processes: an identity process, a limits process and two gateways on one
 * PostgreSQL and one Redis. What one of them knows the others know, and one that ends takes nothing with it.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import { suiteScope } from '../../test/support/scope.ts';
import { type ScaledSystem, startScaled } from './scaled/system.ts';
import { Visitor } from './testing.ts';

const STORY = { title: 'The Hare', text: 'A hare ran over the hill.' };
const DEADLINE_MS = 8_000;

describe('StoryVerse, apart', () => {
  const scope = suiteScope();
  let system: ScaledSystem;
  let ada: Visitor;
  let adaThere: Visitor;

  /** The same person at the other gateway. */
  const moved = (visitor: Visitor, gateway: number): Visitor => {
    const same = new Visitor(system.gateways[gateway]!.url, visitor.address);
    same.accessToken = visitor.accessToken;
    same.refreshToken = visitor.refreshToken;
    return same;
  };
  const eventually = async (what: string, look: () => Promise<boolean>): Promise<void> => {
    const deadline = performance.now() + DEADLINE_MS;
    while (!(await look())) {
      assert.ok(performance.now() < deadline, what);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };

  before(async () => {
    system = await startScaled({ command: ['tools/gatehouse.ts'], port: () => 0, print: null });
    scope.after(() => system.stop());
    ada = new Visitor(system.gateways[0]!.url, '203.0.113.1');
    const registered = await ada.register('ada');
    assert.equal(registered.status, 201, registered.text);
    adaThere = moved(ada, 1);
  });

  it('takes at one gateway the token that came through the other, from the identity process', async () => {
    assert.equal((await ada.call('POST', '/api/stories', STORY)).status, 201);
    const { body } = await adaThere.call('GET', '/api/stories');
    assert.equal(body.stories.length, 1);
    const own = await (await fetch(`${system.identity.url}/metrics`)).text();
    assert.match(own, /^gatehouse_identity_events_total\{action="session\.created"\} 1$/m);
  });

  it('counts the quota of stories over both gateways', async () => {
    const statuses: number[] = [];
    for (let i = 0; i < 6; i++)
      statuses.push((await (i % 2 ? ada : adaThere).call('POST', '/api/stories', STORY)).status);
    assert.deepEqual(statuses, [201, 201, 201, 201, 429, 429], 'one was made before');
  });

  it('tells at the limits process what both gateways counted, and keeps it from others', async () => {
    type Usage = { quotas: { quota: string; used: number; limit: number }[] };
    await eventually('five stories are not in the account', async () => {
      const { status, body } = await adaThere.call('GET', '/api/v1/usage');
      const [stories] = (body as Usage).quotas.filter(({ quota }) => quota === 'stories');
      return status === 200 && stories?.used === 5 && stories.limit === 5;
    });
    assert.equal((await adaThere.call('GET', '/api/v1/usage/export?quota=stories&period=2026-01-01')).status, 403);
    assert.equal((await adaThere.call('GET', '/api/v1/bans')).status, 403);
    assert.equal((await fetch(`${system.limits.url}/api/v1/usage`)).status, 401, 'it was not a gateway that asked');
  });

  it('shuts out at the gateways whom the limits process bans, through Redis', async () => {
    const crow = new Visitor(system.gateways[0]!.url, '198.51.100.9');
    assert.equal((await crow.call('GET', '/docs')).status, 200);
    const made = await fetch(`${system.limits.url}/api/v1/bans`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-auth-subject': 'root', 'x-auth-roles': 'admin' },
      body: JSON.stringify({ subject: '198.51.100.9', reason: 'as a test' }),
    });
    assert.equal(made.status, 201);
    for (const gateway of [0, 1])
      await eventually(`gateway ${gateway} lets it in`, async () => {
        return (await moved(crow, gateway).call('GET', '/docs')).status === 403;
      });
    assert.match(await (await fetch(`${system.limits.url}/metrics`)).text(), /^gatehouse_bans_active 1$/m);
  });

  it('counts requests over both gateways: 60 a minute, wherever they go', async () => {
    const bo = new Visitor(system.gateways[1]!.url, '203.0.113.2');
    await bo.register('bo');
    const boThere = moved(bo, 0);
    const started = performance.now();
    let passed = 0;
    for (let i = 0; i < 90; i++)
      if ((await (i % 2 ? bo : boThere).call('GET', '/api/universes')).status === 200) passed++;
    const refilled = Math.ceil((performance.now() - started) / 1_000);
    assert.ok(passed >= 60 && passed <= 60 + refilled, `${passed} of 90 passed, ${refilled} s`);
  });

  it('has every metric that the dashboard and the alerts of the deployment ask for', async () => {
    const scanner = new Visitor(system.gateways[0]!.url, '198.51.100.7');
    for (let i = 0; i < 5; i++) await scanner.call('GET', '/.env');
    await eventually('who scans is not banned', async () => (await scanner.call('GET', '/docs')).status === 403);
    const asked = ['grafana-dashboard.json', 'prometheus-rules.yaml'].flatMap((file) => {
      const text = readFileSync(new URL(`../../deploy/storyverse/${file}`, import.meta.url), 'utf8');
      return text.match(/\bgatehouse_[a-z_]+/g) ?? [];
    });
    assert.ok(new Set(asked).size >= 15);
    let missing: string[] = [];
    const look = async (): Promise<boolean> => {
      const gateway = await (await fetch(`${system.gateways[0]!.url}/metrics/prometheus`)).text();
      const identity = await (await fetch(`${system.identity.url}/metrics`)).text();
      const limits = await (await fetch(`${system.limits.url}/metrics`)).text();
      const known = new Set(
        [...`${gateway}\n${identity}\n${limits}`.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name),
      );
      missing = asked.filter((name) => !known.has(name.replace(/_bucket$/, '')));
      return missing.length === 0;
    };
    await eventually('metrics are missing', look).catch(() => assert.deepEqual([...new Set(missing)], []));
  });

  it('signs out everywhere', async () => {
    const cyd = new Visitor(system.gateways[0]!.url, '203.0.113.3');
    await cyd.register('cyd');
    const cydThere = moved(cyd, 1);
    assert.equal((await cydThere.call('GET', '/api/stories')).status, 200);
    assert.equal((await cyd.call('POST', '/api/auth/logout')).status, 200);
    await eventually('the other gateway still takes the token', async () => {
      return (await cydThere.call('GET', '/api/stories')).status === 401;
    });
  });

  it('serves on without the limits process; only usage and bans cannot be asked for', async () => {
    const exit = new Promise((resolve) => system.limits.process.once('exit', resolve));
    system.limits.process.kill('SIGTERM');
    await exit;
    assert.equal((await ada.call('GET', '/api/stories')).status, 200);
    assert.equal((await ada.call('POST', '/api/stories', STORY)).status, 429, 'the quota is still counted');
    assert.ok([502, 503].includes((await ada.call('GET', '/api/v1/usage')).status));
  });

  it('goes on counting alone while Redis is away, and together again afterwards', async () => {
    await system.redis.kill();
    assert.equal((await ada.call('GET', '/api/stories')).status, 200);
    assert.equal((await adaThere.call('GET', '/api/stories')).status, 200);
    await system.redis.start();
    await eventually('nothing is counted in Redis', async () => {
      await ada.call('GET', '/api/universes');
      return Number((await system.redis.command('DBSIZE')).replace(':', '')) > 0;
    });
  });

  it('serves on with one gateway when the other is ended', async () => {
    const [first] = system.gateways;
    const exit = new Promise((resolve) => first!.process.once('exit', resolve));
    first!.process.kill('SIGTERM');
    await exit;
    assert.equal((await adaThere.call('GET', '/api/stories')).status, 200);
    assert.equal((await adaThere.refresh()).status, 200);
  });

  it('lets known tokens pass when the identity process is gone, and says so to who wants a new one', async () => {
    const exit = new Promise((resolve) => system.identity.process.once('exit', resolve));
    system.identity.process.kill('SIGKILL');
    await exit;
    assert.equal((await adaThere.call('GET', '/api/stories')).status, 200);
    assert.ok([502, 503].includes((await adaThere.refresh()).status));
  });
});

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { BalancerDefinition } from '../../contract/balancer.ts';
import type { ServiceSettings } from '../../contract/snapshot.ts';
import { Bench, candidates, instance, request, seeded, settings } from '../fixtures.suite.ts';
import { algorithmSuite } from './algorithms.suite.ts';
import { balancerFinder, balancerNameOf, loadCustomBalancers } from './custom.ts';

const EXAMPLE = fileURLToPath(new URL('../../../../examples/custom-balancer/prefer-metadata.ts', import.meta.url));
const OPTIONS = { header: 'x-needs', key: 'has' };

function custom(file: string, options: unknown = {}): ServiceSettings {
  return settings({ balancer: { algorithm: 'custom', options: { file, options } } });
}

async function load(file: string): Promise<BalancerDefinition> {
  const service = custom(file);
  const definition = balancerFinder(await loadCustomBalancers([service]))(balancerNameOf(service.balancer));
  assert.ok(definition !== undefined);
  return definition;
}

const example = await load(EXAMPLE);
algorithmSuite(example, { options: OPTIONS });

describe('the example', () => {
  it('sends a request to an instance that has what it needs, and keeps others away', () => {
    const balancer = example.create(OPTIONS, seeded(1));
    const list = candidates(1, 1, 1);
    const withMetadata = list.map((one, i) => ({ ...one, metadata: { has: i === 1 ? 'gpu ssd' : '' } }));
    for (let i = 0; i < 50; i++) {
      assert.equal(balancer.pick(withMetadata, request({ headers: { 'x-needs': 'gpu' } })), 1);
      assert.notEqual(balancer.pick(withMetadata, request()), 1);
    }
  });

  it('runs in a service', async () => {
    const service = custom(EXAMPLE, OPTIONS);
    const one = new Bench(
      {
        balancer: service.balancer,
        instances: [instance(1), instance(2, { metadata: { has: 'gpu' } }), instance(3)],
      },
      { findBalancer: balancerFinder(await loadCustomBalancers([service])) },
    );
    const gpu = request({ headers: { 'x-needs': 'gpu' } });
    assert.deepEqual([...one.spread(20, () => gpu).keys()], ['svc@10.0.0.2:80']);
    assert.equal(one.spread(20).has('svc@10.0.0.2:80'), false);
    one.table.setHealthy(2, false);
    assert.equal(one.spread(20, () => gpu).size, 2, 'health is not its business');
  });
});

describe('a file of the user', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'balancer-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  function write(name: string, text: string): string {
    const file = join(folder, name);
    writeFileSync(file, text);
    return file;
  }

  it('that is not there, is broken or exports something else is refused by name', async () => {
    const files = [
      join(folder, 'missing.ts'),
      write('broken.ts', 'export default {'),
      write('empty.ts', 'export {};'),
      write('other.ts', 'export default { name: "x" };'),
    ];
    for (const file of files) {
      await assert.rejects(loadCustomBalancers([custom(file)]), (error: Error) => {
        assert.ok(error instanceof TypeError && error.message.includes(file), error.message);
        return true;
      });
    }
  });

  it('gets gatehouse/balancer from the gateway, wherever it lies', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gh-balancer-'));
    after(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, 'first.mts');
    writeFileSync(
      file,
      `import { defineBalancer } from 'gatehouse/balancer';
export default defineBalancer({ name: 'first', create: () => ({ pick: () => 0 }) });`,
    );
    assert.equal((await load(file)).name, 'first');
  });

  it('is taken up anew by a reload when it changed, and only then', async () => {
    const text = (index: number): string =>
      `export default { name: 'fixed', create: () => ({ pick: (): number => ${index} }) };`;
    const file = write('fixed.ts', text(0));
    let current = await loadCustomBalancers([custom(file)]);
    const one = new Bench({ balancer: custom(file).balancer }, { findBalancer: (name) => current.get(name) });
    async function reload(): Promise<void> {
      current = await loadCustomBalancers([custom(file)]);
      one.service.update(custom(file));
    }
    assert.deepEqual([...one.spread(5).keys()], ['svc@10.0.0.1:80']);
    const before = await load(file);
    await reload();
    assert.equal(await load(file), before);
    write('fixed.ts', text(2));
    utimesSync(file, 1_000, 1_000);
    await reload();
    assert.deepEqual([...one.spread(5).keys()], ['svc@10.0.0.3:80']);
  });

  it('that throws or gives no index does not fail a request, and is reported once', async () => {
    for (const [name, body, problem] of [
      ['throws.ts', 'throw new Error("oops")', 'oops'],
      ['nan.ts', 'return NaN', 'pick gave NaN for 3 candidates'],
      ['beyond.ts', 'return 3', 'pick gave 3 for 3 candidates'],
      ['text.ts', 'return "0" as never', 'pick gave 0 for 3 candidates'],
    ] as const) {
      const file = write(name, `export default { name: 'bad', create: () => ({ pick(): number { ${body} } }) };`);
      const service = custom(file);
      const found = balancerFinder(await loadCustomBalancers([service]));
      const one = new Bench({ balancer: service.balancer }, { findBalancer: found });
      assert.equal(one.spread(60).size, 3, `${name} is replaced by a random choice`);
      assert.equal(one.logged.length, 1);
      assert.match(one.logged[0]!, new RegExp(problem));
    }
  });

  it('that creates no balancer is refused', async () => {
    const file = write('nothing.ts', `export default { name: 'nothing', create: () => undefined };`);
    const service = custom(file);
    const findBalancer = balancerFinder(await loadCustomBalancers([service]));
    assert.throws(() => new Bench({ balancer: service.balancer }, { findBalancer }), /"nothing" has no pick function/);
  });

  it('without weights has slow start done around it', async () => {
    const file = write(
      'first.ts',
      `export default { name: 'turn', create: () => { let t = 0; return { pick: (c: unknown[]): number => t++ % c.length }; } };`,
    );
    const service = custom(file);
    const findBalancer = balancerFinder(await loadCustomBalancers([service]));
    const one = new Bench({ balancer: service.balancer, resilience: { slowStartMs: 10_000 } }, { findBalancer });
    one.table.setHealthy(2, false);
    one.spread(3);
    one.table.setHealthy(2, true);
    assert.ok((one.spread(900).get('svc@10.0.0.2:80') ?? 0) < 60);
    one.advance(10_000);
    assert.equal(one.spread(900).get('svc@10.0.0.2:80'), 300);
  });
});

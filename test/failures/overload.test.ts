/**
 * More is asked of a service than it can do: a bounded queue, an adaptive limit, and a second try beside a slow one.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import { Fleet } from '../support/fleet.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { Load } from '../support/measured-load.ts';
import type { OpenOutcome } from '../support/open-load.ts';
import { openLoad, quantile } from '../support/open-load.ts';
import { httpUpstream } from '../support/upstream.ts';

function inFront(t: TestContext, urls: readonly string[], service: object): Promise<TestGateway> {
  return startTestGateway(t, {
    gateway: { workers: 2 },
    services: { work: { instances: urls.map((url) => ({ url })), retries: 0, ...service } },
    routes: [{ match: { path: '/w/*' }, service: 'work', auth: 'public' }],
  });
}

const times = (outcomes: readonly OpenOutcome[]) => outcomes.map(({ tookMs }) => tookMs);
const having = (outcomes: readonly OpenOutcome[], status: number) => outcomes.filter((each) => each.status === status);
const reasonOf = ({ body }: OpenOutcome): unknown => (JSON.parse(body) as { reason?: unknown }).reason;

test('a full service: what is above limit and queue is refused at once, and costs the service nothing', async (t) => {
  let seen = 0;
  let active = 0;
  let peak = 0;
  const upstream = await httpUpstream(t, (_request, response) => {
    seen++;
    peak = Math.max(peak, ++active);
    setTimeout(() => {
      active--;
      response.end('done');
    }, 100);
  });
  const gateway = await inFront(t, [upstream.url], {
    concurrency: { maxPerService: 4, maxQueued: 3, queueTimeout: '150ms' },
    // All of the load comes from one address.
    pool: { perAddress: '100%' },
  });
  const outcomes = await openLoad(gateway.port, 300, 1_500);
  const served = having(outcomes, 200);
  const refused = having(outcomes, 503);
  assert.equal(served.length + refused.length, outcomes.length);
  assert.deepEqual([served.length, peak], [seen, 4]);
  assert.ok(refused.every(({ retryAfter }) => retryAfter === '1'));
  const full = refused.filter((each) => reasonOf(each) === 'overloaded');
  const late = refused.filter((each) => reasonOf(each) === 'queue_timeout');
  assert.equal(full.length + late.length, refused.length);
  // 300 a second against 40: most must go, and of them most without having waited.
  assert.ok(full.length > late.length && full.length > served.length, `${full.length}, ${late.length}`);
  const { counters } = gateway.primary.opsSources().services[0]!;
  assert.deepEqual([counters.overloaded, counters.queueTimeouts], [full.length, late.length]);
  const fullMs = quantile(times(full), 0.5);
  const servedMs = quantile(times(served), 0.5);
  t.diagnostic(
    `${served.length} served, median ${Math.round(servedMs)} ms; ${full.length} refused, median ${fullMs.toFixed(1)} ms; ${late.length} waited in vain`,
  );
  assert.ok(fullMs < servedMs, `refusing took ${fullMs} ms, serving ${servedMs} ms`);
  // Not by the clock, which a busy machine stretches: who is refused hardly lets anybody by, who is served lets by all
  // that came and went meanwhile.
  const letBy = (each: readonly OpenOutcome[]): number =>
    quantile(
      each.map(({ overtaken }) => overtaken),
      0.5,
    );
  const counts = `refused: ${letBy(full)} overtook, served: ${letBy(served)}`;
  t.diagnostic(counts);
  assert.ok(letBy(full) < letBy(served) / 3, counts);
});

test('150 % load: an adaptive limit keeps answers quick, and refuses what is too much', async (t) => {
  const fleet = await Fleet.start(t, ['w']);
  // Four places of 20 ms: 200 a second.
  await fleet.get('w').become({ kind: 'busy', ms: 20, places: 4 });
  const run = async (
    concurrency: object | undefined,
  ): Promise<{ quick: number; p50: number; ahead: number; outcomes: OpenOutcome[] }> => {
    const gateway = await inFront(t, [fleet.get('w').url], concurrency === undefined ? {} : { concurrency });
    await openLoad(gateway.port, 120, 600); // what it needs unloaded
    const outcomes = await openLoad(gateway.port, 300, 1_600);
    const served = having(outcomes, 200);
    const aheads = served.map(({ ahead }) => ahead);
    assert.ok(aheads.every(Number.isInteger));
    return {
      // Fifty ahead in four places of 20 ms are 250 ms.
      quick: aheads.filter((ahead) => ahead < 50).length,
      p50: quantile(times(served), 0.5),
      ahead: quantile(aheads, 0.5),
      outcomes,
    };
  };
  const without = await run(undefined);
  const adaptive = await run({ adaptive: true });
  for (const [name, { quick, p50, ahead, outcomes }] of Object.entries({ without, adaptive })) {
    const served = having(outcomes, 200).length;
    t.diagnostic(
      `${name}: ${served} of ${outcomes.length} served, ${quick} behind fewer than 50, median behind ${ahead}, ${Math.round(p50)} ms`,
    );
  }
  assert.ok(adaptive.p50 < without.p50, 'answers are quicker');
  // By how much is counted in requests ahead, not by the clock, which a busy machine stretches.
  assert.ok(adaptive.ahead < without.ahead / 2, `${adaptive.ahead} ahead instead of ${without.ahead}`);
  assert.ok(adaptive.quick > without.quick, 'more callers are served in good time');
  const refused = adaptive.outcomes.filter(({ status }) => status !== 200);
  assert.ok(refused.length > 0, 'what is too much is refused');
  assert.ok(refused.every((each) => each.status === 503 && each.retryAfter === '1' && reasonOf(each) === 'overloaded'));
});

test('hedging starts a second attempt beside a slow one, and one answer reaches the caller', async (t) => {
  const upstreams = await Promise.all(
    ['a', 'b', 'c', 'd', 'slow'].map((name) =>
      httpUpstream(t, (request, response) => {
        const answer = (): unknown => response.end(`${name} ${request.method} ${request.url} `);
        if (name === 'slow') setTimeout(answer, 400);
        else answer();
      }),
    ),
  );
  const urls = upstreams.map(({ url }) => url);
  // How much it helps depends on the machine's load and is printed; that it happens, and only when asked for, is
  // asserted.
  const run = async (service: object): Promise<{ p99: number; hedges: number }> => {
    const gateway = await inFront(t, urls, { loadBalancing: { algorithm: 'round-robin' }, ...service });
    const load = new Load(gateway.port, { callers: { GET: 10, PUT: 0, POST: 0 } });
    t.after(() => load.stop());
    await load.more(200);
    await load.stop();
    assert.deepEqual(Object.fromEntries(load.GET.others), {});
    return { p99: quantile(load.GET.latenciesMs, 0.99), hedges: gateway.primary.metrics.number('hedges') };
  };
  const before = await run({});
  const after = await run({ hedge: { delay: '50ms' }, retries: { attempts: 0, budget: '50%' } });
  t.diagnostic(
    `p99 without hedging ${Math.round(before.p99)} ms, with ${after.hedges} hedges ${Math.round(after.p99)} ms`,
  );
  assert.equal(before.hedges, 0);
  assert.ok(after.hedges > 0);
});

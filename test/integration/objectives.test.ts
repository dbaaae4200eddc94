/**
 * Objectives from real traffic to whoever looks: metrics, `/status`, `gatehouse status`, a restart, and traces of what
 * was slower than the bound of its route.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandLine } from '../../src/cli/command-line.suite.ts';
import type { ObjectiveReport } from '../../src/control/objectives/tracker.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { httpCollector } from '../support/otlp-collector.ts';
import type { Scope } from '../support/scope.ts';
import { assertSeries } from '../support/series.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

/** Much longer than any other request takes, on a busy machine too. */
const BOUND_MS = 3_000;
const PATIENCE_MS = 60_000;

async function start(t: Scope, upstream: string, collector: string, dataDir?: string): Promise<TestGateway> {
  return await startTestGateway(t, {
    gateway: { tracing: { endpoint: collector, ratio: 0 }, ...(dataDir === undefined ? {} : { dataDir }) },
    services: { notes: { instances: [upstream], retries: 0 }, other: { instances: [upstream] } },
    routes: [
      { name: 'notes', match: { path: '/notes/*' }, service: 'notes', auth: 'public' },
      { name: 'other', match: { path: '/other/*' }, service: 'other', auth: 'public' },
    ],
    objectives: {
      checkout: { services: ['notes'], availability: '90%', latency: { under: BOUND_MS, for: '75%' } },
    },
  });
}

const objective = (kind: string): string => `{objective="checkout",kind="${kind}"}`;
const hour = (kind: string): string => `gatehouse_objective_burn_rate{objective="checkout",kind="${kind}",window="1h"}`;

test('what was bad is in metrics, status and command, after a restart too, and what was slow in a trace', {
  timeout: 240_000,
}, async (t) => {
  const collector = await httpCollector(t);
  const upstream = await httpUpstream(t, (request, response) => {
    response.statusCode = request.url?.endsWith('/bad') === true ? 500 : 200;
    setTimeout(() => response.end(), request.url?.endsWith('/slow') === true ? BOUND_MS + 200 : 0);
  });
  const gateway = await start(t, upstream.url, collector.url);
  const ask = async (path: string): Promise<void> => {
    await (await fetch(gateway.url + path)).arrayBuffer();
  };
  // Of twenty four are bad, which is twice what 90 % allow; of the other sixteen four are slow, as many as may be.
  for (let i = 0; i < 12; i++) await ask('/notes/good');
  for (let i = 0; i < 4; i++) await ask('/notes/bad');
  for (let i = 0; i < 7; i++) await ask('/other/bad');
  await Promise.all(Array.from({ length: 4 }, () => ask('/notes/slow')));
  await assertSeries(gateway.url, [
    [`gatehouse_objective_requests_total${objective('availability')}`, 20],
    [`gatehouse_objective_bad_total${objective('availability')}`, 4],
    [`gatehouse_objective_target_ratio${objective('availability')}`, 0.9],
    [hour('availability'), (value) => Math.abs(value - 2) < 1e-6],
    [`gatehouse_objective_requests_total${objective('latency')}`, 16],
    [`gatehouse_objective_bad_total${objective('latency')}`, 4],
    [hour('latency'), (value) => Math.abs(value - 1) < 1e-6],
  ]);
  const { features } = (await (await fetch(`${gateway.url}/status`)).json()) as {
    features: { objectives: ObjectiveReport[] };
  };
  assert.deepEqual(
    features.objectives.map(({ objective: name, kind, alert }) => [name, kind, alert]),
    [
      ['checkout', 'availability', null],
      ['checkout', 'latency', null],
    ],
    'so few are noise and no alert',
  );
  const cli = commandLine();
  t.after(() => cli.remove());
  const { code, out, err } = await cli.run('status', '--socket', join(gateway.folder, 'gatehouse.sock'));
  assert.equal(code, 0, err);
  assert.match(out, /^objective checkout, availability \(90 %\): -?[\d.]+ ?% of the budget left, burns 2 times/m);
  assert.match(
    out,
    /^objective checkout, latency \(75 % within 3000 ms\): -?[\d.]+ ?% of the budget left, burns 1 times/m,
  );

  const slow = () => collector.spans.filter(({ attributes }) => attributes['gatehouse.recorded'] === 'slow');
  await until(() => slow().length >= 4, 'the slow ones are recorded', PATIENCE_MS);
  for (const { attributes } of slow()) assert.equal(attributes['url.path'], '/notes/slow');

  await gateway.stop({ timeoutMs: 2_000 });
  const again = await start(t, upstream.url, collector.url, gateway.folder);
  await assertSeries(again.url, [[hour('availability'), (value) => Math.abs(value - 2) < 1e-6]]);
});

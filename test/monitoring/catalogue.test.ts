/**
 * Every metric that a feature writes is shown by a test that reads it after traffic: in this folder, or in the one
 * named here. A metric that is new, or that a test no longer reads, fails. Those of the core: each-metric.test.ts.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FEATURE_METRICS } from '../../src/control/telemetry/catalogue.ts';

/** What needs another world, or is shown where it is told. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  'src/control/discovery/feature.test.ts': [
    'gatehouse_discovery_instances',
    'gatehouse_discovery_problem',
    'gatehouse_health_instances',
    'gatehouse_registry_leases',
  ],
  'src/control/identity/feature.test.ts': ['gatehouse_identity_events_total', 'gatehouse_identity_tokens_total'],
  'src/control/security-events/feature.test.ts': [
    'gatehouse_security_events_dropped_total',
    'gatehouse_security_events_total',
  ],
  'test/attacks/one-address-holds-a-share.test.ts': ['gatehouse_identity_address_refusals_total'],
  'test/failures/events-gateways.test.ts': ['gatehouse_events_notified'],
  'test/integration/aggregation.test.ts': ['gatehouse_aggregate_parts_failed_total', 'gatehouse_aggregate_parts_total'],
  'test/integration/handlers.test.ts': ['gatehouse_handler_calls_total'],
  'test/integration/admin/instances.test.ts': ['gatehouse_overrides'],
  'test/integration/cache/cache-takeover.test.ts': ['gatehouse_cache_takeovers_total'],
  'test/integration/certificates/acme.test.ts': [
    'gatehouse_acme_orders_total',
    'gatehouse_certificate_expiry_timestamp_seconds',
  ],
  'test/integration/cluster-registry.test.ts': ['gatehouse_registry_leases_overdue'],
  'test/integration/identity/queue.test.ts': ['gatehouse_identity_hashes_queued', 'gatehouse_identity_hashes_running'],
  'test/integration/tickets.test.ts': ['gatehouse_tickets_total'],
  'test/integration/transcode/reflection.test.ts': ['gatehouse_reflection_failures', 'gatehouse_reflection_methods'],
  'test/integration/user-policies.test.ts': Object.keys(FEATURE_METRICS).filter((name) =>
    name.startsWith('gatehouse_policy_'),
  ),
};

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');

test('each metric of a feature is read by a test', () => {
  const here = readdirSync(new URL('.', import.meta.url))
    .filter((name) => name.endsWith('.test.ts') && name !== 'catalogue.test.ts')
    .map((name) => read(`test/monitoring/${name}`))
    .join('\n');
  const elsewhere = new Set(Object.values(ELSEWHERE).flat());
  // A histogram is read by its count; the name must end there, as `a` is no test of `a_total`.
  const isIn = (text: string, name: string): boolean => new RegExp(`${name}(?:_count|_bucket)?(?![a-z_])`).test(text);
  assert.deepEqual(
    Object.keys(FEATURE_METRICS).filter((name) => !elsewhere.has(name) && !isIn(here, name)),
    [],
    'read by no test',
  );
  const missing = Object.entries(ELSEWHERE).flatMap(([file, names]) => {
    const text = read(file);
    return names.filter((name) => !isIn(text, name.replace(/^gatehouse_/, ''))).map((name) => `${file}: ${name}`);
  });
  assert.deepEqual(missing, []);
});

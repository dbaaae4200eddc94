import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endTroubles } from './end-troubles.ts';
import { endReport } from './ends.ts';

const NOW_MS = Date.parse('2027-01-01T00:00:00Z');
const DAY_MS = 86_400_000;

test('a certificate is trouble when it ends soon, cannot be renewed, or is not there', () => {
  const acme = { name: 'a.example', source: 'acme', renewAt: null, ordering: false, failures: 0, nextTryAt: null };
  const at = (days: number): string => new Date(NOW_MS + days * DAY_MS).toISOString();
  const said = (report: Parameters<typeof endTroubles>[0]): (readonly [string, string])[] =>
    endTroubles(report, NOW_MS).map(({ severity, message }) => [severity, message]);
  assert.deepEqual(said({ ...acme, validUntil: at(60), problem: null }), []);
  assert.deepEqual(said({ ...acme, validUntil: at(20), problem: 'rate limited' }), [
    ['warning', 'cannot be renewed: rate limited'],
  ]);
  assert.deepEqual(said({ ...acme, validUntil: at(5), problem: 'rate limited' }), [
    ['error', 'ends on 2027-01-06, in 5 days: rate limited'],
  ]);
  assert.deepEqual(said({ ...acme, validUntil: null, problem: 'refused' }), [['error', 'there is none yet: refused']]);
  const hours = (count: number): string => new Date(NOW_MS + count * 3_600_000).toISOString();
  const short = { ...acme, renewAt: hours(8), validUntil: hours(16), problem: null };
  assert.deepEqual(said(short), [], 'a certificate of one day, whose renewal is to come');
  const late = { ...acme, renewAt: hours(-3), validUntil: hours(5), problem: 'rate limited' };
  assert.deepEqual(said(late), [['warning', 'cannot be renewed: rate limited']]);
  assert.deepEqual(said({ ...late, renewAt: hours(-5), validUntil: hours(3) }), [
    ['error', 'ends on 2027-01-01, in less than a day: rate limited'],
  ]);
  const named = { name: 'b.example', source: 'listeners[0].tls', endsAtMs: NOW_MS + 5 * DAY_MS };
  assert.deepEqual(said(endReport(named, NOW_MS)), [['error', 'ends on 2027-01-06, in 5 days']]);
  assert.deepEqual(said(endReport({ ...named, endsAtMs: NOW_MS + 90 * DAY_MS }, NOW_MS)), []);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isTimeZone, PERIODS, periodAt, periodOf } from './periods.ts';

const at = (text: string): number => Date.parse(text);
const span = (kind: 'day' | 'week' | 'month', zone: string, text: string): string => {
  const { id, startMs, endMs } = periodAt(kind, zone, at(text));
  return `${id} ${new Date(startMs).toISOString()} ${(endMs - startMs) / 3_600_000} h`;
};

test('days begin at local midnight and are 23 or 25 hours long when the clocks change', () => {
  assert.equal(span('day', 'UTC', '2026-07-01T12:00:00Z'), '2026-07-01 2026-07-01T00:00:00.000Z 24 h');
  assert.equal(span('day', 'Europe/Berlin', '2026-07-01T22:00:00Z'), '2026-07-02 2026-07-01T22:00:00.000Z 24 h');
  assert.equal(span('day', 'Europe/Berlin', '2026-03-29T12:00:00Z'), '2026-03-29 2026-03-28T23:00:00.000Z 23 h');
  assert.equal(span('day', 'Europe/Berlin', '2026-10-25T12:00:00Z'), '2026-10-25 2026-10-24T22:00:00.000Z 25 h');
  assert.equal(span('day', 'Asia/Kathmandu', '2026-01-01T00:00:00Z'), '2026-01-01 2025-12-31T18:15:00.000Z 24 h');
  assert.equal(span('day', 'Pacific/Kiritimati', '2026-01-01T10:00:00Z'), '2026-01-02 2026-01-01T10:00:00.000Z 24 h');
});

test('a day whose midnight does not exist begins with its first moment, one whose midnight comes twice with the first', () => {
  // Santiago moves from 24:00 to 1:00 on 6 September 2026; Havana moves from 1:00 back to 0:00 on 1 November 2026.
  assert.equal(span('day', 'America/Santiago', '2026-09-06T12:00:00Z'), '2026-09-06 2026-09-06T04:00:00.000Z 23 h');
  assert.equal(span('day', 'America/Havana', '2026-11-01T12:00:00Z'), '2026-11-01 2026-11-01T04:00:00.000Z 25 h');
});

test('weeks begin on Monday and are numbered by ISO 8601', () => {
  assert.equal(span('week', 'UTC', '2026-01-01T00:00:00Z'), '2026-W01 2025-12-29T00:00:00.000Z 168 h');
  assert.equal(span('week', 'UTC', '2027-01-03T23:59:59Z'), '2026-W53 2026-12-28T00:00:00.000Z 168 h');
  assert.equal(span('week', 'UTC', '2027-01-04T00:00:00Z'), '2027-W01 2027-01-04T00:00:00.000Z 168 h');
});

test('months end with their last day', () => {
  assert.equal(span('month', 'UTC', '2028-02-29T23:00:00Z'), '2028-02 2028-02-01T00:00:00.000Z 696 h');
  assert.equal(span('month', 'UTC', '2026-12-31T23:59:59Z'), '2026-12 2026-12-01T00:00:00.000Z 744 h');
  assert.equal(span('month', 'Europe/Berlin', '2026-03-01T00:00:00Z'), '2026-03 2026-02-28T23:00:00.000Z 743 h');
});

test('periods follow each other without gap, hold the moment they were asked for, and are found by their id', () => {
  const zones = [
    'UTC',
    'Europe/Berlin',
    'America/Santiago',
    'America/Havana',
    'Asia/Beirut',
    'Australia/Lord_Howe',
    'Africa/Cairo',
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...PERIODS),
      fc.constantFrom(...zones),
      fc.integer({ min: at('2020-01-01T00:00:00Z') / 1000, max: at('2030-01-01T00:00:00Z') / 1000 }),
      (kind, zone, seconds) => {
        const moment = seconds * 1000;
        const period = periodAt(kind, zone, moment);
        assert.ok(period.startMs <= moment && moment < period.endMs);
        assert.deepEqual(periodAt(kind, zone, period.startMs), period);
        assert.deepEqual(periodAt(kind, zone, period.endMs - 1), period);
        const next = periodAt(kind, zone, period.endMs);
        assert.equal(next.startMs, period.endMs);
        assert.ok(next.id > period.id);
        assert.deepEqual(periodOf(kind, zone, period.id), period);
      },
    ),
    { numRuns: 600 },
  );
});

test('what is no period of the kind is none', () => {
  for (const id of ['2026-07', '2026-W27', '2026-13-01', '2026-02-30', 'today', ''])
    assert.equal(periodOf('day', 'UTC', id), undefined, id);
  for (const id of ['2026-07', '2026-W54', '2025-W53', '2026-W00'])
    assert.equal(periodOf('week', 'UTC', id), undefined, id);
  for (const id of ['2026-07-01', '2026-W27', '2026-13', '2026-00'])
    assert.equal(periodOf('month', 'UTC', id), undefined, id);
});

test('time zones are those that Intl knows', () => {
  assert.deepEqual([isTimeZone('Europe/Berlin'), isTimeZone('UTC'), isTimeZone('Mars/Olympus')], [true, true, false]);
});

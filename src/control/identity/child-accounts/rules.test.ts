import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ageBand, ageOf, allowedUntil } from './rules.ts';
import { childRules } from './rules-schema.ts';

const at = (text: string): number => Date.parse(text);
const EVERY_DAY = [0, 1, 2, 3, 4, 5, 6];

describe('allowed hours', () => {
  const until = (hours: unknown, now: string, timeZone = 'UTC'): string | undefined => {
    const end = allowedUntil(childRules.parse({ hours, timeZone }), at(now));
    return end === undefined ? undefined : Number.isFinite(end) ? new Date(end).toISOString() : 'always';
  };
  const day = [{ days: EVERY_DAY, from: '07:00', to: '20:00' }];
  const cases: { name: string; hours: unknown; now: string; zone?: string; want: string | undefined }[] = [
    { name: 'none set', hours: [], now: '2026-01-01T03:00:00Z', want: 'always' },
    { name: 'inside', hours: day, now: '2026-01-01T12:34:56.789Z', want: '2026-01-01T20:00:00.000Z' },
    { name: 'at the first minute', hours: day, now: '2026-01-01T07:00:00Z', want: '2026-01-01T20:00:00.000Z' },
    { name: 'at the end', hours: day, now: '2026-01-01T20:00:00Z', want: undefined },
    {
      name: 'another weekday',
      hours: [{ days: [6], from: '07:00', to: '20:00' }],
      now: '2026-01-01T12:00:00Z',
      want: undefined,
    },
    {
      name: 'spans that touch',
      hours: [...day, { days: EVERY_DAY, from: '20:00', to: '21:30' }],
      now: '2026-01-01T12:00:00Z',
      want: '2026-01-01T21:30:00.000Z',
    },
    {
      name: 'spans that overlap',
      hours: [...day, { days: EVERY_DAY, from: '19:00', to: '21:00' }],
      now: '2026-01-01T19:30:00Z',
      want: '2026-01-01T21:00:00.000Z',
    },
    {
      name: 'over midnight',
      hours: [
        { days: EVERY_DAY, from: '22:00', to: '24:00' },
        { days: EVERY_DAY, from: '00:00', to: '01:00' },
      ],
      now: '2026-01-01T23:30:00Z',
      want: '2026-01-02T01:00:00.000Z',
    },
    {
      name: 'in a zone ahead',
      hours: day,
      now: '2026-01-01T18:30:00Z',
      zone: 'Europe/Berlin',
      want: '2026-01-01T19:00:00.000Z',
    },
    {
      name: 'in a zone of half hours',
      hours: day,
      now: '2026-01-01T12:00:00Z',
      zone: 'Asia/Kolkata',
      want: '2026-01-01T14:30:00.000Z',
    },
  ];
  for (const { name, hours, now, zone, want } of cases) {
    test(name, () => assert.equal(until(hours, now, zone), want));
  }
  for (const [name, rules] of [
    ['backwards', { hours: [{ days: [1], from: '20:00', to: '07:00' }] }],
    ['no such time', { hours: [{ days: [1], from: '25:00', to: '26:00' }] }],
    ['no such zone', { timeZone: 'Mars/Olympus' }],
    ['an unknown rule', { unlimited: true }],
  ] as const) {
    test(`refuses ${name}`, () => assert.equal(childRules.safeParse(rules).success, false));
  }
});

describe('age', () => {
  const cases = [
    ['2018-06-15', '2026-06-14', 7, '7-12'],
    ['2018-06-15', '2026-06-15', 8, '7-12'],
    ['2012-02-29', '2026-02-28', 13, '13-15'],
    ['2008-01-01', '2026-01-01', 18, '18+'],
    ['2022-01-01', '2026-01-01', 4, '0-6'],
  ] as const;
  for (const [born, today, age, band] of cases) {
    test(`born ${born} is ${age} on ${today}`, () => {
      assert.equal(ageOf(born, at(`${today}T12:00:00Z`)), age);
      assert.equal(ageBand(age), band);
    });
  }
  test('is unknown without a date of birth', () => assert.equal(ageBand(ageOf(null, 0)), null));
});

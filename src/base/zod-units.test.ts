import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod';
import {
  cidr,
  duration,
  durationOrOff,
  formatSize,
  ratio,
  secret,
  size,
  sizeOrUnlimited,
  UNLIMITED_BYTES,
} from './zod-units.ts';

const accepted: readonly { name: string; schema: z.ZodType; input: unknown; want: unknown }[] = [
  { name: 'duration with a unit', schema: duration(), input: '1.5s', want: 1500 },
  { name: 'duration as bare milliseconds', schema: duration(), input: 250, want: 250 },
  { name: 'duration as digits in text', schema: duration(), input: '250', want: 250 },
  { name: 'duration inside its range', schema: duration({ min: 1, max: 1000 }), input: '1s', want: 1000 },
  { name: 'off as no deadline', schema: durationOrOff({ min: 100 }), input: 'off', want: 0 },
  { name: 'zero as no deadline', schema: durationOrOff({ min: 100 }), input: 0, want: 0 },
  { name: 'size with a unit', schema: size(), input: '10mb', want: 10 * 1024 * 1024 },
  { name: 'size as bare bytes', schema: size(), input: 77, want: 77 },
  { name: 'unlimited', schema: sizeOrUnlimited(), input: 'unlimited', want: UNLIMITED_BYTES },
  { name: 'ratio in percent', schema: ratio(), input: '20%', want: 0.2 },
  { name: 'ratio as a number', schema: ratio(), input: 1, want: 1 },
  { name: 'CIDR block in canonical text', schema: cidr(), input: '2001:DB8::/32', want: '2001:db8::/32' },
  { name: 'mapped block as IPv4', schema: cidr(), input: '::FFFF:10.0.0.0/104', want: '10.0.0.0/8' },
  { name: 'mapped address as IPv4', schema: cidr(), input: '::ffff:10.1.2.3', want: '10.1.2.3' },
  { name: 'single address', schema: cidr(), input: '127.0.0.1', want: '127.0.0.1' },
];

for (const { name, schema, input, want } of accepted) {
  test(`accepts ${name}`, () => {
    assert.deepEqual(schema.parse(input), want);
  });
}

const refused: readonly { name: string; schema: z.ZodType; input: unknown; want: string; expected: string }[] = [
  {
    name: 'a word',
    schema: duration(),
    input: 'soon',
    want: 'not a duration',
    expected: 'a duration such as 250ms or 5s',
  },
  {
    name: 'a boolean',
    schema: duration(),
    input: true,
    want: 'wrong type',
    expected: 'a duration such as 250ms or 5s',
  },
  {
    name: 'less than a millisecond',
    schema: duration(),
    input: '0.5ms',
    want: 'not a whole number of milliseconds',
    expected: 'a duration such as 250ms or 5s',
  },
  {
    name: 'a duration above its range',
    schema: duration({ min: 1, max: 60_000 }),
    input: '2m',
    want: 'too long',
    expected: 'a duration such as 250ms or 5s, from 1ms to 1m',
  },
  {
    name: 'off where a deadline is needed',
    schema: duration({ min: 1 }),
    input: 'off',
    want: 'not a duration',
    expected: 'a duration such as 250ms or 5s, at least 1ms',
  },
  {
    name: 'a duration below its range that is not off',
    schema: durationOrOff({ min: 100 }),
    input: '50ms',
    want: 'too short',
    expected: 'a duration such as 250ms or 5s, at least 100ms, or off',
  },
  {
    name: 'a size without a known unit',
    schema: size(),
    input: '10tb',
    want: 'not a size',
    expected: 'a size such as 64kb or 10mb',
  },
  {
    name: 'a size above its range',
    schema: size({ max: 1024 }),
    input: '2kb',
    want: 'too large',
    expected: 'a size such as 64kb or 10mb, at most 1kb',
  },
  {
    name: 'more than the whole',
    schema: ratio(),
    input: '120%',
    want: 'not a share between 0% and 100%',
    expected: 'a share such as 20% or 0.2',
  },
  {
    name: 'less than a share with bounds that binary fractions only come near to',
    schema: ratio({ min: 0.07, max: 0.99999 }),
    input: '6%',
    want: 'too small',
    expected: 'a share such as 20% or 0.2, from 7% to 99.999%',
  },
  {
    name: 'a prefix that is too long',
    schema: cidr(),
    input: '10.0.0.0/33',
    want: 'not an address or a CIDR block',
    expected: 'an address or a CIDR block such as 10.0.0.0/8',
  },
];

for (const { name, schema, input, want, expected } of refused) {
  test(`refuses ${name} and says what was expected`, () => {
    const result = schema.safeParse(input);
    assert.equal(result.success, false);
    const issue = result.error?.issues[0];
    assert.equal(issue?.message, want);
    assert.equal(issue?.code === 'custom' ? issue.params?.['expected'] : undefined, expected);
  });
}

test('a unit keeps its meaning and its default in the JSON Schema', () => {
  const schema = z.strictObject({
    wait: duration({ min: 1 }).describe('How long to wait.').prefault('5s'),
    key: secret(16).describe('Signs.'),
  });
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  assert.deepEqual(json.properties?.['wait'], {
    description: 'How long to wait.',
    default: '5s',
    type: ['string', 'number'],
    pattern: '^\\d+(\\.\\d+)?(ms|s|m|h|d)?$',
    'x-unit': 'duration',
    'x-min': 1,
  });
  assert.deepEqual(json.properties?.['key'], { description: 'Signs.', type: 'string', minLength: 16, writeOnly: true });
  assert.deepEqual(schema.parse({ key: '0123456789abcdef' }), { wait: 5000, key: '0123456789abcdef' });
});

test('sizes are written in the largest unit that divides them', () => {
  assert.deepEqual([0, 512, 1024, 10 * 1024 ** 2, 3 * 1024 ** 3, 1025, UNLIMITED_BYTES].map(formatSize), [
    '0b',
    '512b',
    '1kb',
    '10mb',
    '3gb',
    '1025b',
    'unlimited',
  ]);
});

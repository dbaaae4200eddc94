/**
 * Zod types for the units that the configuration knows: durations, sizes, ratios, CIDR blocks, secrets. Each gives the
 * number (milliseconds, bytes, 0 to 1) or the canonical text, and carries what the JSON Schema and the reference
 * page need: type, pattern, unit, range. Text is read by base/units.ts alone. Add the meaning with `.describe('...')`
 * and the default, as people write it, with `.prefault('5s')`. Only option schemas import this file: the data plane's
 * threads never load zod.
 */
import * as z from 'zod';
import { canonicalAddress, cidrProblem } from './ip.ts';
import { formatDuration, parseDurationMs, parseRatio, parseSizeBytes } from './units.ts';

/** 24 days: Node's timers hold 2^31 - 1 milliseconds, and fire at once when given more. */
export const MAX_TIMER_MS = 24 * 86_400_000;
/** The longest duration that any setting takes: ten years. */
export const MAX_DURATION_MS = 3_650 * 86_400_000;
/** What `unlimited` means for a size: more than any counter reaches. */
export const UNLIMITED_BYTES: number = Number.MAX_SAFE_INTEGER;

export interface NumberRange {
  /** Least value, in the unit of the result (milliseconds, bytes, ratio). Default 0. */
  readonly min?: number;
  /** Largest value, in the unit of the result. */
  readonly max?: number;
}

type Unit<Result> = z.ZodPipe<z.ZodCustom<string | number, string | number>, z.ZodTransform<Result, string | number>>;

const DURATION_PATTERN = '^\\d+(\\.\\d+)?(ms|s|m|h|d)?$';
const SIZE_PATTERN = '^\\d+(\\.\\d+)?\\s*([bB]|[kKmMgG]([iI]?[bB])?)?$';

/** A text or a number in, one number out; every complaint names what was expected. */
function unit(
  meta: Readonly<Record<string, unknown>>,
  expected: string,
  read: (input: string | number) => number | string,
): Unit<number> {
  return z
    .custom<string | number>((input) => typeof input === 'string' || typeof input === 'number', {
      error: 'wrong type',
      params: { expected },
    })
    .meta({ ...meta })
    .transform((input, context) => {
      const result = read(input);
      if (typeof result === 'number') return result;
      context.issues.push({ code: 'custom', input, message: result, params: { expected } });
      return z.NEVER;
    });
}

function rangeWords(range: NumberRange, most: number, words: (value: number) => string): string {
  const least = range.min ?? 0;
  const max = range.max ?? most;
  if (range.min === undefined && range.max === undefined) return '';
  if (range.max === undefined) return `, at least ${words(least)}`;
  return least === 0 ? `, at most ${words(max)}` : `, from ${words(least)} to ${words(max)}`;
}

/** Below this, milliseconds, a bare number is worth a second look. */
const SHORT_MS = 1_000;
let shortBareDurations = 0;

/**
 * How many bare numbers below 1,000 have been read as durations since the last call. The configuration warns of them,
 * and only then makes the schema that tells where they stand.
 */
export function takeShortBareDurations(): number {
  const count = shortBareDurations;
  shortBareDurations = 0;
  return count;
}

function readDuration(input: string | number, range: NumberRange): number | string {
  const ms = parseDurationMs(input);
  if (ms === undefined) return 'not a duration';
  if (!Number.isInteger(ms)) return 'not a whole number of milliseconds';
  if (ms < (range.min ?? 0)) return 'too short';
  if (ms > (range.max ?? MAX_DURATION_MS)) return 'too long';
  if (ms < SHORT_MS && (typeof input === 'number' || !/[a-z]/.test(input))) shortBareDurations++;
  return ms;
}

/** Milliseconds of `250ms`, `5s`, `1.5h`, `2d` or of a bare number of milliseconds; whole, at most ten years. */
export function duration(range: NumberRange = {}): Unit<number> {
  const expected = `a duration such as 250ms or 5s${rangeWords(range, MAX_DURATION_MS, formatDuration)}`;
  const meta = { type: ['string', 'number'], pattern: DURATION_PATTERN, 'x-unit': 'duration', ...limits(range) };
  return unit(meta, expected, (input) => readDuration(input, range));
}

/** Like `duration`, and `off`, which gives 0: the engine's word for "no deadline". */
export function durationOrOff(range: NumberRange = {}): Unit<number> {
  const expected = `a duration such as 250ms or 5s${rangeWords(range, MAX_DURATION_MS, formatDuration)}, or off`;
  const pattern = `^off$|${DURATION_PATTERN}`;
  const meta = { type: ['string', 'number'], pattern, 'x-unit': 'duration or off', ...limits(range) };
  return unit(meta, expected, (input) => (input === 'off' || input === 0 ? 0 : readDuration(input, range)));
}

function readSize(input: string | number, range: NumberRange): number | string {
  const bytes = parseSizeBytes(input);
  if (bytes === undefined || !Number.isSafeInteger(bytes)) return 'not a size';
  if (bytes < (range.min ?? 0)) return 'too small';
  if (bytes > (range.max ?? UNLIMITED_BYTES)) return 'too large';
  return bytes;
}

/** Bytes of `64kb`, `10mb`, `1GiB` (powers of 1024) or of a bare number of bytes. */
export function size(range: NumberRange = {}): Unit<number> {
  const expected = `a size such as 64kb or 10mb${rangeWords(range, UNLIMITED_BYTES, formatSize)}`;
  const meta = { type: ['string', 'integer'], pattern: SIZE_PATTERN, 'x-unit': 'size', ...limits(range) };
  return unit(meta, expected, (input) => readSize(input, range));
}

/** Like `size`, and `unlimited`, which gives `UNLIMITED_BYTES`. */
export function sizeOrUnlimited(range: NumberRange = {}): Unit<number> {
  const expected = `a size such as 64kb or 10mb${rangeWords(range, UNLIMITED_BYTES, formatSize)}, or unlimited`;
  const pattern = `^unlimited$|${SIZE_PATTERN}`;
  const meta = { type: ['string', 'integer'], pattern, 'x-unit': 'size or unlimited', ...limits(range) };
  return unit(meta, expected, (input) => (input === 'unlimited' ? UNLIMITED_BYTES : readSize(input, range)));
}

/** Like `size`, and `off`, which gives 0. */
export function sizeOrOff(range: NumberRange = {}): Unit<number> {
  const expected = `a size such as 64kb or 10mb${rangeWords(range, UNLIMITED_BYTES, formatSize)}, or off`;
  const pattern = `^off$|${SIZE_PATTERN}`;
  const meta = { type: ['string', 'integer'], pattern, 'x-unit': 'size or off', ...limits(range) };
  return unit(meta, expected, (input) => (input === 'off' || input === 0 ? 0 : readSize(input, range)));
}

/** 0 to 1, of `20%` or of a bare number from 0 to 1. */
export function ratio(range: NumberRange = {}): Unit<number> {
  // Without the noise of binary fractions: 99.999, not 99.99900000000001.
  const percent = (value: number): string => `${Number((value * 100).toPrecision(12))}%`;
  const expected = `a share such as 20% or 0.2${rangeWords(range, 1, percent)}`;
  const meta = { type: ['string', 'number'], pattern: '^\\d+(\\.\\d+)?%$', 'x-unit': 'ratio', ...limits(range) };
  return unit({ ...meta, minimum: range.min ?? 0, maximum: range.max ?? 1 }, expected, (input) => {
    const share = parseRatio(input);
    if (share === undefined) return 'not a share between 0% and 100%';
    if (share < (range.min ?? 0)) return 'too small';
    return share > (range.max ?? 1) ? 'too large' : share;
  });
}

/** A CIDR block or a single address, in canonical text: lower case, IPv4-in-IPv6 as IPv4. */
export function cidr(): z.ZodPipe<z.ZodString, z.ZodTransform<string, string>> {
  return z
    .string()
    .meta({ 'x-unit': 'CIDR block' })
    .transform((input, context) => {
      const problem = cidrProblem(input);
      if (problem === undefined) return canonicalBlock(input);
      const expected = 'an address or a CIDR block such as 10.0.0.0/8';
      context.issues.push({ code: 'custom', input, message: 'not an address or a CIDR block', params: { expected } });
      return z.NEVER;
    });
}

function canonicalBlock(block: string): string {
  const [text = '', bits] = block.toLowerCase().split('/');
  const address = canonicalAddress(text) ?? text;
  if (bits === undefined) return address;
  const mapped = address !== text && text.startsWith('::ffff:');
  // ::ffff:10.0.0.0/104 is 10.0.0.0/8; a shorter prefix covers more than the mapped addresses and stays as it is.
  if (!mapped) return `${address}/${Number(bits)}`;
  return Number(bits) >= 96 ? `${address}/${Number(bits) - 96}` : `${text}/${Number(bits)}`;
}

/** A password, key or token: a text that no problem message, dump or log repeats. At least `minLength` characters. */
export function secret(minLength = 1): z.ZodString {
  return z.string().min(minLength).meta({ writeOnly: true });
}

/** An address that browsers are sent to or that links lead to: http or https, without user and password. */
export function webUrl(): z.ZodURL {
  return z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }).refine(hasNoCredentials, {
    error: 'must have no user and no password',
  });
}

function hasNoCredentials(url: string): boolean {
  // Zod's own complaint comes first where it is no URL at all.
  if (!URL.canParse(url)) return true;
  const { username, password } = new URL(url);
  return username === '' && password === '';
}

/** `range` for the reference page; a number alone could not say it, since the text forms have it too. */
function limits(range: NumberRange): Record<string, number> {
  const found: Record<string, number> = {};
  if (range.min !== undefined) found['x-min'] = range.min;
  if (range.max !== undefined) found['x-max'] = range.max;
  return found;
}

/** `10_485_760` as `10mb`: the largest unit that divides evenly. */
export function formatSize(bytes: number): string {
  if (bytes >= UNLIMITED_BYTES) return 'unlimited';
  for (const [name, factor] of [
    ['gb', 1024 ** 3],
    ['mb', 1024 ** 2],
    ['kb', 1024],
  ] as const) {
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${name}`;
  }
  return `${bytes}b`;
}

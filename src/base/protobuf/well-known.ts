/** The texts that ProtoJSON has for types of google.protobuf: times, durations, masks. Null: it is no such text. */
import { jsonNameOf } from './schema.ts';

const WRAPPERS = ['Double', 'Float', 'Int64', 'UInt64', 'Int32', 'UInt32', 'Bool', 'String', 'Bytes'];

/** Types that JSON does not have as an object of their fields. */
export const WELL_KNOWN: ReadonlySet<string> = new Set([
  ...['Timestamp', 'Duration', 'FieldMask', 'Struct', 'Value', 'ListValue', 'Any', 'Empty'].map(
    (name) => `google.protobuf.${name}`,
  ),
  ...WRAPPERS.map((name) => `google.protobuf.${name}Value`),
]);

const WRAPPER_NAMES: ReadonlySet<string> = new Set(WRAPPERS.map((name) => `google.protobuf.${name}Value`));

/** A message whose one field `value` stands for it. */
export function isWrapper(name: string): boolean {
  return WRAPPER_NAMES.has(name);
}

export interface Moment {
  readonly seconds: bigint;
  readonly nanos: number;
}

/** 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z. */
const FIRST_SECOND = -62_135_596_800n;
const LAST_SECOND = 253_402_300_799n;
const MAX_DURATION = 315_576_000_000n;

/** RFC 3339, always `Z`, with no, three, six or nine digits of a second. Null: outside of the years 1 to 9999. */
export function timestampText(seconds: bigint, nanos: number): string | null {
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND || nanos < 0 || nanos > 999_999_999) return null;
  const whole = new Date(Number(seconds) * 1_000).toISOString();
  return `${whole.slice(0, 19)}${fraction(nanos)}Z`;
}

const TIME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/;

export function readTimestamp(text: string): Moment | null {
  const parts = TIME.exec(text);
  if (parts === null) return null;
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (year === 0 || hour > 23 || minute > 59 || second > 59) return null;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null;
  const offset = parts[8] === undefined ? 0 : (parts[8] === '-' ? 1 : -1) * (Number(parts[9]) * 60 + Number(parts[10]));
  if (Number(parts[9] ?? 0) > 23 || Number(parts[10] ?? 0) > 59) return null;
  const seconds = BigInt(date.getTime() / 1_000 + hour * 3_600 + minute * 60 + second + offset * 60);
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND) return null;
  return { seconds, nanos: Number((parts[7] ?? '').padEnd(9, '0')) };
}

export function durationText(seconds: bigint, nanos: number): string | null {
  const isMixed = (seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0);
  if (isMixed || seconds > MAX_DURATION || seconds < -MAX_DURATION || Math.abs(nanos) > 999_999_999) return null;
  const sign = seconds < 0n || nanos < 0 ? '-' : '';
  return `${sign}${seconds < 0n ? -seconds : seconds}${fraction(Math.abs(nanos))}s`;
}

export function readDuration(text: string): Moment | null {
  const parts = /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(text);
  if (parts === null) return null;
  const seconds = BigInt(parts[2]!);
  const nanos = Number((parts[3] ?? '').padEnd(9, '0'));
  if (seconds > MAX_DURATION) return null;
  return parts[1] === '-' ? { seconds: -seconds, nanos: nanos === 0 ? 0 : -nanos } : { seconds, nanos };
}

export function maskText(paths: readonly string[]): string {
  return paths.map((path) => path.split('.').map(jsonNameOf).join('.')).join(',');
}

export function readMask(text: string): string[] | null {
  if (text === '') return [];
  const paths = text.split(',');
  if (!paths.every((path) => /^[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*)*$/.test(path))) return null;
  return paths.map((path) => path.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
}

function fraction(nanos: number): string {
  if (nanos === 0) return '';
  const digits = `${nanos}`.padStart(9, '0');
  if (digits.endsWith('000000')) return `.${digits.slice(0, 3)}`;
  return digits.endsWith('000') ? `.${digits.slice(0, 6)}` : `.${digits}`;
}

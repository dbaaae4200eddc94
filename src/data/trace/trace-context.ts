/**
 * W3C Trace Context (Level 2): `traceparent` is read strictly, `tracestate` is passed as it came but for the entry of
 * OpenTelemetry, which says with what probability a trace was sampled (`ot=th:...`).
 */

export interface ParentContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly isSampled: boolean;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZERO_TRACE = '0'.repeat(32);
const ZERO_SPAN = '0'.repeat(16);
/** §3.3.1.1 wants at least this much of the list to pass. */
const MOST_STATE = 512;

/** Null for what is none (§3.2.2): then a new trace begins. */
export function parseTraceparent(text: string): ParentContext | null {
  const match = TRACEPARENT.exec(text);
  if (match === null) return null;
  const [, version = '', traceId = '', spanId = '', flags = '', more] = match;
  if (version === 'ff' || (version === '00' && more !== undefined)) return null;
  if (traceId === ZERO_TRACE || spanId === ZERO_SPAN) return null;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** A list that may be passed on, or empty: too long, or with what no list has. */
export function checkTracestate(text: string): string {
  return text.length <= MOST_STATE && /^[ -~\t]*$/.test(text) ? text : '';
}

/** `state` with the probability of a decision made here, as the first entry; null takes an older one away. */
export function withThreshold(state: string, threshold: string | null): string {
  const others = state.split(',').filter((entry) => entry.trim() !== '' && !entry.trim().startsWith('ot='));
  const own = threshold === null ? [] : [`ot=th:${threshold}`];
  return [...own, ...others.map((entry) => entry.trim())].slice(0, 32).join(',');
}

/** Hexadecimal digits of the 56 random bits at the end of a trace id. */
const DIGITS = 14;

/** Rejection threshold of a ratio: 14 hexadecimal digits, without zeros at the end; `0` samples everything. */
export function thresholdOf(ratio: number): string {
  if (ratio >= 1) return '0';
  const rejected = BigInt(Math.round((1 - ratio) * 2 ** 52)) << 4n;
  return rejected.toString(16).padStart(DIGITS, '0').replace(/0+$/, '');
}

/**
 * The same decision for the same trace everywhere: its last digits against the threshold. A ratio of 0 samples nothing.
 */
export function isSampledBy(traceId: string, ratio: number, threshold: string): boolean {
  return ratio > 0 && traceId.slice(-DIGITS) >= threshold;
}

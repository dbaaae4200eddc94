/**
 * W3C Trace Context (Level 2): `traceparent` is read strictly, `tracestate` is passed as it came but for the entry of
 * OpenTelemetry, which says with what probability a trace was sampled (`ot=th:...`).
 */

import { wordOf } from './span-ids.ts';

export interface ParentContext {
  /** The words of the trace's id, the first ones first. */
  readonly trace0: number;
  readonly trace1: number;
  readonly trace2: number;
  readonly trace3: number;
  /** Hexadecimal. */
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
  return {
    trace0: wordOf(traceId.slice(0, 8)),
    trace1: wordOf(traceId.slice(8, 16)),
    trace2: wordOf(traceId.slice(16, 24)),
    trace3: wordOf(traceId.slice(24)),
    spanId,
    isSampled: (Number.parseInt(flags, 16) & 1) === 1,
  };
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
/** Thresholds have no more bits than a double holds: the last four of the 56 are zero. */
const THRESHOLD_BITS = 52;

/** Ids whose first 52 of the 56 random bits are below this are not sampled; beyond them all: nothing is sampled. */
export function rejectedBelow(ratio: number): number {
  return ratio >= 1 ? 0 : Math.max(1, Math.round((1 - ratio) * 2 ** THRESHOLD_BITS));
}

/** The same as OpenTelemetry writes it: hexadecimal digits without zeros at the end; `0` samples everything. */
export function thresholdOf(ratio: number): string {
  const rejected = BigInt(rejectedBelow(ratio)) << 4n;
  return rejected === 0n ? '0' : rejected.toString(16).padStart(DIGITS, '0').replace(/0+$/, '');
}

/** The same decision for the same trace everywhere: the last words of its id against the threshold. */
export function isSampledBy(trace2: number, trace3: number, rejected: number): boolean {
  return (trace2 & 0xffffff) * 2 ** 28 + (trace3 >>> 4) >= rejected;
}

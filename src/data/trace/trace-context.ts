/**
 * W3C Trace Context (Level 2): `traceparent` is read strictly; of `tracestate` what is valid passes as it came, but for
 * the entry of OpenTelemetry, which says with what probability a trace was sampled (`ot=th:...`).
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
  /** The last 56 bits of the trace's id are random (§2.2.3.2). */
  readonly isRandom: boolean;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZERO_TRACE = '0'.repeat(32);
const ZERO_SPAN = '0'.repeat(16);
const SAMPLED_FLAG = 1;
const RANDOM_FLAG = 2;
/** §2.3.1.1: members of a list. */
const MOST_MEMBERS = 32;
/** §2.3.1.5: so much of a list passes at least; where it is longer, long members are the first that do not. */
const MOST_STATE = 512;
const LONG_MEMBER = 128;
/** §2.3.1.3. */
const MEMBER = /^([a-z0-9][a-z0-9_*/@-]{0,255})=[ !-+\--<>-~]{0,255}[!-+\--<>-~]$/;

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
    isSampled: (Number.parseInt(flags, 16) & SAMPLED_FLAG) !== 0,
    isRandom: (Number.parseInt(flags, 16) & RANDOM_FLAG) !== 0,
  };
}

/**
 * What of a list may be passed on: its valid members, each key once (the first is the latest). A list of too many
 * members is none.
 */
export function checkTracestate(text: string): string {
  const members = text
    .split(',')
    .map(withoutSpace)
    .filter((member) => member !== '');
  if (members.length > MOST_MEMBERS) return '';
  const keys = new Set<string>();
  const valid = members.filter((member) => {
    const key = MEMBER.exec(member)?.[1];
    if (key === undefined || keys.has(key)) return false;
    keys.add(key);
    return true;
  });
  return fitting(valid);
}

const withoutSpace = (member: string): string => member.replace(/^[ \t]+|[ \t]+$/g, '');

function fitting(members: readonly string[]): string {
  const all = members.join(',');
  if (all.length <= MOST_STATE) return all;
  const short = members.filter((member) => member.length <= LONG_MEMBER);
  while (short.length > 0 && short.join(',').length > MOST_STATE) short.pop();
  return short.join(',');
}

/** The member of OpenTelemetry in a list that was checked; empty: there is none. */
function ownMember(state: string): string {
  return state.split(',').find((member) => member.startsWith(OWN)) ?? '';
}

const OWN = 'ot=';
const RANDOMNESS = /^rv:([0-9a-f]{14})$/;

/** The same bits as those of a trace's id, where whoever began the trace has said others (`ot=rv:...`). */
export function randomnessOf(state: string): number | null {
  if (!state.includes(OWN)) return null;
  for (const part of ownMember(state).slice(OWN.length).split(';')) {
    const digits = RANDOMNESS.exec(part)?.[1];
    if (digits !== undefined) return Number.parseInt(digits.slice(0, THRESHOLD_BITS / 4), 16);
  }
  return null;
}

/** What others say beside their probability. */
function isKept(part: string): boolean {
  if (part.startsWith('rv:')) return RANDOMNESS.test(part);
  return part !== '' && !part.startsWith('th:');
}

/** `state` with the probability of a decision made here, in the first member; null takes an older one away. */
export function withThreshold(state: string, threshold: string | null): string {
  const own = ownMember(state);
  const others = state === '' ? [] : state.split(',').filter((member) => member !== own);
  const parts = own.slice(OWN.length).split(';').filter(isKept);
  if (threshold !== null) parts.unshift(`th:${threshold}`);
  const list = parts.length === 0 ? others : [`${OWN}${parts.join(';')}`, ...others];
  return fitting(list.slice(0, MOST_MEMBERS));
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

/**
 * How old a response is and how long it is fresh (RFC 9111 §4.2), for a shared cache: a targeted field, `s-maxage`,
 * `max-age`, `Expires`, or what the configuration says for responses that say nothing: a lifetime, or a share of the
 * time since they were changed (§4.2.2).
 */
import type { Head } from '../../parser/head.ts';
import { ABSENT, type Directives, deltaSeconds } from './directives.ts';
import { parseHttpDate } from './http-date.ts';

/** Seconds of freshness from the moment its age is 0; ABSENT when the response says nothing about it. */
export function lifetimeOf(head: Head, directives: Readonly<Directives>, isTargeted: boolean, nowMs: number): number {
  if (directives.sMaxage !== ABSENT) return directives.sMaxage;
  if (directives.maxAge !== ABSENT) return directives.maxAge;
  if (isTargeted) return ABSENT;
  const expires = head.valueOf('expires');
  if (expires === null) return ABSENT;
  const expiresMs = parseHttpDate(expires, nowMs);
  // §5.3: an invalid date, above all "0", means a time in the past.
  if (Number.isNaN(expiresMs)) return 0;
  return Math.max(0, (expiresMs - dateOf(head, nowMs)) / 1000);
}

/** A guess from long ago is no better than one from last week. */
const LONGEST_GUESS_S = 86_400;

/**
 * §4.2.2: seconds that a response without a word about it is likely to hold, as a share of the time that it has held;
 * ABSENT when it does not say since when. A day at most.
 */
export function guessedLifetime(head: Head, share: number, nowMs: number): number {
  const modified = head.valueOf('last-modified');
  const modifiedMs = modified === null || share === 0 ? Number.NaN : parseHttpDate(modified, nowMs);
  if (Number.isNaN(modifiedMs)) return ABSENT;
  const heldS = Math.max(0, (dateOf(head, nowMs) - modifiedMs) / 1_000);
  return Math.min(LONGEST_GUESS_S, Math.floor(heldS * share));
}

/** When the response was made, as it says; now if it does not (RFC 9110 §6.6.1). */
export function dateOf(head: Head, nowMs: number): number {
  const date = head.valueOf('date');
  const ms = date === null ? Number.NaN : parseHttpDate(date, nowMs);
  return Number.isNaN(ms) ? nowMs : ms;
}

/**
 * §4.2.3: seconds of age that it had when it came. Of several values of `Age` the first counts; no number is no age
 * (§5.1).
 */
export function initialAge(head: Head, requestMs: number, responseMs: number): number {
  // `Date` knows seconds only, so what is less than one says nothing.
  const apparent = Math.max(0, Math.floor((responseMs - dateOf(head, responseMs)) / 1000));
  const age = head.valueOf('age');
  if (age === null) return apparent;
  const first = age.split(',', 1)[0]!.trim();
  if (!/^\d+$/.test(first)) return apparent;
  return Math.max(apparent, deltaSeconds(first) + (responseMs - requestMs) / 1000);
}

/** Seconds, as the `Age` field says them. */
export function ageOf(bornMs: number, nowMs: number): number {
  return Math.max(0, Math.min(2_147_483_648, Math.floor((nowMs - bornMs) / 1000)));
}

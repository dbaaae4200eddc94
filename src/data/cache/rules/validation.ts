/**
 * Conditions (RFC 9110 §13, RFC 9111 §4.3): those of the client against what is stored, and those that the cache itself
 * sends to the service.
 */
import type { Head } from '../../parser/head.ts';
import { parseHttpDate } from './http-date.ts';

export interface Validators {
  readonly etag: string | null;
  readonly lastModified: string | null;
}

export function validatorsOf(head: Head): Validators {
  return { etag: head.valueOf('etag'), lastModified: head.valueOf('last-modified') };
}

/** RFC 9111 §4.3.1: the fields that ask whether what is stored still holds; none when it has no validator. */
export function conditionsOf({ etag, lastModified }: Validators): (readonly [name: string, value: string])[] {
  const conditions: (readonly [string, string])[] = [];
  if (etag !== null) conditions.push(['If-None-Match', etag]);
  if (lastModified !== null) conditions.push(['If-Modified-Since', lastModified]);
  return conditions;
}

/** Conditions as the client sent them. */
export interface Conditions {
  readonly ifNoneMatch: string | null;
  readonly ifModifiedSince: string | null;
}

/**
 * RFC 9111 §4.3.2: does the client have this very response already, so that 304 is enough? `If-None-Match` decides
 * alone when it is there; a date counts only for a response of status 200.
 */
export function isNotModified(stored: Validators, wanted: Conditions, status: number, nowMs: number): boolean {
  if (wanted.ifNoneMatch !== null) {
    const { etag } = stored;
    return etag !== null ? listsTag(wanted.ifNoneMatch, etag) : wanted.ifNoneMatch.trim() === '*';
  }
  if (wanted.ifModifiedSince === null || status !== 200 || stored.lastModified === null) return false;
  const since = parseHttpDate(wanted.ifModifiedSince, nowMs);
  const modified = parseHttpDate(stored.lastModified, nowMs);
  return !Number.isNaN(since) && !Number.isNaN(modified) && modified <= since;
}

/** Weak comparison (RFC 9110 §8.8.3.2) with each tag of a list, or `*`. */
function listsTag(list: string, etag: string): boolean {
  if (list.trim() === '*') return true;
  const wanted = opaque(etag);
  // Tags may contain commas, so they are read and not split. What is not quoted is taken as it stands between commas.
  const tags = list.matchAll(/(?:W\/)?("[^"]*")|([^,\s][^,]*)/g);
  for (const [, quoted, bare] of tags) if ((quoted ?? bare?.trim()) === wanted) return true;
  return false;
}

const opaque = (etag: string): string => (etag.startsWith('W/') ? etag.slice(2) : etag);

export function isStrong(etag: string): boolean {
  return etag.startsWith('"') && etag.endsWith('"') && etag.length >= 2;
}

/**
 * RFC 9110 §13.1.5: may a part of the stored response continue what the client has? Strong comparison, or the exact
 * date.
 */
export function ifRangeHolds(ifRange: string | null, stored: Validators): boolean {
  if (ifRange === null) return true;
  if (ifRange.startsWith('"')) return stored.etag === ifRange && isStrong(ifRange);
  if (ifRange.startsWith('W/')) return false;
  return stored.lastModified !== null && stored.lastModified === ifRange.trim();
}

/**
 * RFC 9111 §4.3.4: does this 304 speak of the stored response that the cache asked about? It asked about one only; a
 * validator in the 304 that contradicts the stored one means another.
 */
export function speaksOf(stored: Validators, notModified: Validators): boolean {
  const { etag } = notModified;
  if (etag !== null) return stored.etag !== null && opaque(etag) === opaque(stored.etag);
  if (notModified.lastModified !== null && stored.lastModified !== null)
    return notModified.lastModified === stored.lastModified;
  return true;
}

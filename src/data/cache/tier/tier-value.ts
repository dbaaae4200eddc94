/**
 * What lies under a key in Redis: a response, a marker that says which fields choose among the responses of the URL
 * (keys.ts), or a mark that the URL was changed. The first bytes are the version: whoever writes says which one it saw
 * when it began, so what was fetched before a change is never written after it.
 *
 *   O version(16) format(1) born(8) freshUntil(8) staleWhileRevalidate(4) staleIfError(4) flags(4) sequence(8)
 *     headLength(4) head body
 *   M version(16) names
 *   T version(16)
 */
import { randomBytes } from 'node:crypto';
import type { Terms } from '../store/fill.ts';

const OBJECT = 79;
const MARKER = 77;
const FORMAT = 1;
/** The kind and 16 characters. */
const VERSION_BYTES = 17;
/** Enough of a value to have its version and, of a marker, all of it. */
export const HEAD_OF_VALUE = 1_024;
const BORN_AT = VERSION_BYTES + 1;
const FIXED_BYTES = BORN_AT + 8 + 8 + 4 + 4 + 4 + 8 + 4;
const MOST_SECONDS = 0x7fff_ffff;
const NAMES = /^[!#$%&'*+\-.^_`|~0-9a-z]+(?:,[!#$%&'*+\-.^_`|~0-9a-z]+)*$/;

export interface TierObject {
  readonly terms: Terms;
  /** Latest purge when its fetch began. */
  readonly sequence: number;
  /** Bytes of HTTP/1.1. */
  readonly head: Buffer;
  readonly body: Buffer;
}

/** What was seen under a first key. */
export interface TierVersion {
  /** Its version as it begins; empty: nothing is there. */
  readonly seen: string;
  /** Names of the fields that choose; null: not a marker. */
  readonly vary: readonly string[] | null;
}

const newVersion = (kind: string): string => kind + randomBytes(12).toString('base64');

export function tombstone(): Buffer {
  return Buffer.from(newVersion('T'), 'latin1');
}

/** Null: the names are too long for a marker. */
export function markerValue(names: readonly string[]): Buffer | null {
  const value = Buffer.from(newVersion('M') + names.join(','), 'latin1');
  return value.length > HEAD_OF_VALUE ? null : value;
}

/** `fillBody` writes the body at this place of the buffer. */
export function objectValue(
  terms: Terms,
  sequence: number,
  head: Uint8Array,
  bodyBytes: number,
  fillBody: (target: Buffer, at: number) => void,
): Buffer {
  const value = Buffer.allocUnsafe(FIXED_BYTES + head.length + bodyBytes);
  let at = value.write(newVersion('O'), 0, 'latin1');
  at = value.writeUInt8(FORMAT, at);
  at = value.writeDoubleLE(terms.bornMs, at);
  at = value.writeDoubleLE(terms.freshUntilMs, at);
  at = value.writeUInt32LE(Math.min(terms.staleWhileRevalidateS, MOST_SECONDS), at);
  at = value.writeUInt32LE(Math.min(terms.staleIfErrorS, MOST_SECONDS), at);
  at = value.writeUInt32LE(terms.flags >>> 0, at);
  at = value.writeDoubleLE(sequence, at);
  at = value.writeUInt32LE(head.length, at);
  value.set(head, at);
  fillBody(value, at + head.length);
  return value;
}

/** Null: nothing that is known here. */
export function readVersion(value: Buffer | null): TierVersion {
  if (value === null || value.length < VERSION_BYTES) return { seen: '', vary: null };
  const seen = value.latin1Slice(0, VERSION_BYTES);
  if (value[0] !== MARKER) return { seen, vary: null };
  const names = value.latin1Slice(VERSION_BYTES, value.length);
  if (names === '') return { seen, vary: [] };
  return { seen, vary: NAMES.test(names) ? names.split(',') : null };
}

/** Null: not an object, or not one that this version of the gateway can read. */
export function readObject(value: Buffer | null): TierObject | null {
  if (value === null || value.length < FIXED_BYTES || value[0] !== OBJECT || value[VERSION_BYTES] !== FORMAT)
    return null;
  const bornMs = value.readDoubleLE(BORN_AT);
  const freshUntilMs = value.readDoubleLE(BORN_AT + 8);
  const staleWhileRevalidateS = value.readUInt32LE(BORN_AT + 16);
  const staleIfErrorS = value.readUInt32LE(BORN_AT + 20);
  const flags = value.readUInt32LE(BORN_AT + 24);
  const sequence = value.readDoubleLE(BORN_AT + 28);
  const headBytes = value.readUInt32LE(BORN_AT + 36);
  const body = FIXED_BYTES + headBytes;
  if (body > value.length || !Number.isFinite(bornMs + freshUntilMs + sequence)) return null;
  return {
    terms: { bornMs, freshUntilMs, staleWhileRevalidateS, staleIfErrorS, flags },
    sequence,
    head: value.subarray(FIXED_BYTES, body),
    body: value.subarray(body),
  };
}

/** With a validator a stale response is worth a 304 for this long. */
const VALIDATED_FOR_MS = 600_000;
const LONGEST_MS = 30 * 86_400_000;

/** How long Redis keeps an object of these terms; 0: it is not worth a place. */
export function keptMs(terms: Terms, hasValidator: boolean, nowMs: number): number {
  const staleMs = Math.max(terms.staleWhileRevalidateS, terms.staleIfErrorS) * 1_000;
  const extraMs = Math.max(staleMs, hasValidator ? VALIDATED_FOR_MS : 0);
  return Math.max(0, Math.min(LONGEST_MS, Math.ceil(terms.freshUntilMs - nowMs + extraMs)));
}

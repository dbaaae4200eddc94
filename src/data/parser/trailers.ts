/**
 * The trailer fields that may pass, either way. No name that the engine itself understands is among them, nor one that
 * only the gateway may say: services that merge trailers into the fields would take it for the gateway's word.
 */
import { FieldBlock } from '../contract/field-block.ts';
import { OTHER } from './field-names.ts';
import type { Head } from './head.ts';

const MARKS = 4;

/** Trailer fields must not change framing, routing or authentication (RFC 9110 §6.5.1). */
const NO_TRAILER =
  /^(content-length|transfer-encoding|host|trailer|te|connection|keep-alive|upgrade|authorization|set-cookie|cookie|expect|range|content-encoding|content-type|content-range|cache-control|age|date|expires|location|retry-after|vary|warning|www-authenticate|proxy-.*|x-forwarded-.*|forwarded|x-auth-.*|max-forwards|if-.*|via)$/i;

/** Most calls of gRPC end with the same bytes: the latest trailers, up to this length, and what of them passes. */
const KEPT_BYTES = 128;
const latest = Buffer.allocUnsafeSlow(KEPT_BYTES);
let latestLength = 0;
let latestPassing: FieldBlock | null = null;

/** Null when none passes. */
export function passingTrailers(trailers: Head | null): FieldBlock | null {
  if (trailers === null || trailers.count === 0) return null;
  const { bytes, marks, count } = trailers;
  const start = marks[0]!;
  const length = marks[(count - 1) * MARKS + MARKS - 1]! - start;
  if (length === latestLength && isLatest(bytes, start)) return latestPassing;
  const passing = passingOf(trailers);
  if (length <= KEPT_BYTES) {
    bytes.copy(latest, 0, start, start + length);
    latestLength = length;
    latestPassing = passing;
  }
  return passing;
}

function isLatest(bytes: Buffer, start: number): boolean {
  for (let i = 0; i < latestLength; i++) if (bytes[start + i] !== latest[i]) return false;
  return true;
}

function passingOf(trailers: Head): FieldBlock | null {
  const names: string[] = [];
  const values: string[] = [];
  for (let i = 0; i < trailers.count; i++) {
    const name = trailers.name(i);
    if (trailers.ids[i] !== OTHER || NO_TRAILER.test(name)) continue;
    names.push(name);
    values.push(trailers.value(i));
  }
  return names.length === 0 ? null : new FieldBlock(names, values);
}

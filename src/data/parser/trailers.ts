/**
 * The trailer fields that may pass, either way. No name that the engine itself understands is among them, nor one that
 * only the gateway may say: services that merge trailers into the fields would take it for the gateway's word.
 */
import { FieldBlock } from '../contract/field-block.ts';
import { OTHER } from './field-names.ts';
import type { Head } from './head.ts';

/** Trailer fields must not change framing, routing or authentication (RFC 9110 §6.5.1). */
const NO_TRAILER =
  /^(content-length|transfer-encoding|host|trailer|te|connection|keep-alive|upgrade|authorization|set-cookie|cookie|expect|range|content-encoding|content-type|content-range|cache-control|age|date|expires|location|retry-after|vary|warning|www-authenticate|proxy-.*|x-forwarded-.*|forwarded|x-auth-.*|max-forwards|if-.*|via)$/i;

/** Null when none passes. */
export function passingTrailers(trailers: Head | null): FieldBlock | null {
  if (trailers === null) return null;
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

/**
 * What every response of a versioned route says about its version: `Deprecation` (RFC 9745), `Sunset` (RFC 8594), a
 * `Link` to where this is explained, and `Vary` where a request field chose the version. Made once per snapshot.
 */
import { FieldBlock } from '../contract/field-block.ts';
import type { RouteVersion } from '../contract/snapshot.ts';

/**
 * Fields to be added to a response, or null; they replace nothing that the service says. Throws a TypeError on a value
 * that is none.
 */
export function versionFields(version: RouteVersion | null): FieldBlock | null {
  const pairs = versionPairs(version);
  return pairs.length === 0 ? null : FieldBlock.of(pairs);
}

export function versionPairs(version: RouteVersion | null): readonly (readonly [name: string, value: string])[] {
  if (version === null) return [];
  const { by, deprecatedAtSeconds, sunset, link } = version;
  const fields: (readonly [string, string])[] = [];
  // RFC 9745 §2.1: a Date of structured fields, which may lie in the future.
  if (deprecatedAtSeconds !== null) fields.push(['Deprecation', `@${Math.trunc(deprecatedAtSeconds)}`]);
  if (sunset !== null) fields.push(['Sunset', sunset]);
  if (link !== null) {
    // RFC 9745 §3 and RFC 8594 §6. A version that is neither deprecated nor ending has its documentation there.
    const relation = deprecatedAtSeconds !== null ? 'deprecation' : sunset !== null ? 'sunset' : 'service-doc';
    fields.push(['Link', `<${link}>; rel="${relation}"`]);
  }
  // RFC 9110 §12.5.5: without it, a cache would serve one version's requests with another's responses.
  if (by.kind === 'header') fields.push(['Vary', by.header]);
  if (by.kind === 'accept') fields.push(['Vary', 'Accept']);
  return fields;
}

/**
 * Decides whether a request asks for a route's version, by a header field or by `Accept`. A version in the path is
 * part of the pattern and needs no test. `VersionReader` keeps the latest `Accept` parsed: the routes of one path
 * differ in nothing but the version, so it is asked several times in a row.
 */
import { type VersionedType, versionedType, versionKey } from '../contract/route-version.ts';
import type { RouteVersion } from '../contract/snapshot.ts';
import { acceptedQuality, type MediaRange, parseAccept } from './accept.ts';
import type { RouterRequest } from './match-result.ts';

export interface VersionTest {
  readonly key: string;
  /** Lower-case field name; null reads `Accept`. */
  readonly header: string | null;
  readonly type: VersionedType;
  readonly isDefault: boolean;
}

/** What a route without version, or a version that is not in doubt, is worth. */
export const FULL_QUALITY = 1_000;

export function compileVersion(version: RouteVersion | null): VersionTest | null {
  if (version === null || version.by.kind === 'path') return null;
  const { by, name, isDefault } = version;
  return {
    key: versionKey(name),
    header: by.kind === 'header' ? by.header.toLowerCase() : null,
    type: by.kind === 'accept' ? versionedType(by.mediaType, name) : { base: '', suffix: '' },
    isDefault,
  };
}

export class VersionReader {
  #accept = '';
  #ranges: readonly MediaRange[] = [];

  /** 0: another version, or none where this is not the default. Otherwise up to `FULL_QUALITY`. */
  quality(test: VersionTest, request: RouterRequest): number {
    const value = request.header(test.header ?? 'accept');
    if (value === null || value === '') return test.isDefault ? FULL_QUALITY : 0;
    if (test.header !== null) return versionKey(value) === test.key ? FULL_QUALITY : 0;
    if (value !== this.#accept) {
      this.#ranges = parseAccept(value);
      this.#accept = value;
    }
    const quality = acceptedQuality(this.#ranges, test.type, test.key);
    if (quality < 0) return test.isDefault ? FULL_QUALITY : 0;
    return quality;
  }
}

/**
 * How versions are compared: `2`, `v2` and `V2` are one version, `2.0` is another. For the router, which reads them
 * from requests, and for control, which looks for routes that stand in each other's way.
 */
import type { RouteVersion } from './snapshot.ts';

/** The one spelling of a version. */
export function versionKey(name: string): string {
  const key = name.trim().toLowerCase();
  return /^v\d/.test(key) ? key.slice(1) : key;
}

/** A media type in two halves, between which a version may stand: `application/vnd.acme` and `+json`. */
export interface VersionedType {
  readonly base: string;
  readonly suffix: string;
}

/**
 * `application/vnd.acme+json`; of a type that already names the version (`application/vnd.acme.v2+json`) without it.
 */
export function versionedType(mediaType: string, versionName: string): VersionedType {
  const type = mediaType.trim().toLowerCase();
  const plus = type.indexOf('+');
  let base = plus < 0 ? type : type.slice(0, plus);
  const dot = base.lastIndexOf('.');
  if (dot > base.indexOf('/') && versionKey(base.slice(dot + 1)) === versionKey(versionName)) base = base.slice(0, dot);
  return { base, suffix: plus < 0 ? '' : type.slice(plus) };
}

/** Two versions with the same key are named in the same place and differ only by their names. */
export function versionPlace(version: RouteVersion): string {
  switch (version.by.kind) {
    case 'path':
      return 'path';
    case 'header':
      return `header ${version.by.header}`;
    case 'accept': {
      const { base, suffix } = versionedType(version.by.mediaType, version.name);
      return `accept ${base}${suffix}`;
    }
  }
}

/** Prefixes of paths by whole segments: `/api` is one of `/api` and `/api/x`, and not of `/apix`. */
import { spellPrefix } from '../contract/route-pattern.ts';
import type { RewriteSettings } from '../contract/snapshot.ts';
import { capitalEscapes } from './readings.ts';

/**
 * `prefix` without a slash at its end, escapes in capitals; those of `path` in any case. Empty is one of every path.
 */
export function hasPrefix(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix) && !capitalEscapes(path).startsWith(prefix)) return false;
  const next = path.charCodeAt(prefix.length);
  return Number.isNaN(next) || next === SLASH || next === QUESTION || next === HASH;
}

/** What a rewrite takes off the front; empty for nothing. */
export function strippedPrefixOf(rewrite: RewriteSettings | null): string {
  return rewrite === null || rewrite.path !== null ? '' : spellPrefix(rewrite.stripPrefix ?? '');
}

const SLASH = 0x2f;
const QUESTION = 0x3f;
const HASH = 0x23;

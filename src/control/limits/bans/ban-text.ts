/** A ban as another process published it. */
import type { Ban } from './bans.ts';

/** Data of another version or of unknown origin is left alone. */
export function readBan(value: unknown): Ban | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const ban = value as Ban;
  const isBan =
    typeof ban.id === 'string' &&
    (ban.kind === 'address' || ban.kind === 'user' || ban.kind === 'key') &&
    typeof ban.subject === 'string' &&
    typeof ban.madeAtMs === 'number' &&
    (ban.endsAtMs === null || typeof ban.endsAtMs === 'number');
  return isBan ? ban : undefined;
}

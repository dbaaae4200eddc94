/** Parts that the options of several ways to authenticate share. */
import { hash } from 'node:crypto';
import * as z from 'zod';
import { durationOrOff } from '../../base/zod-units.ts';
import { MAX_CACHE_MS } from '../auth/jwt/token-cache.ts';
import type { OptionContext } from '../contract/options.ts';

/** An id that is equal for equal endpoints, on whatever route they stand. */
export const idOf = (value: unknown): string => hash('sha256', JSON.stringify(value), 'base64url').slice(0, 16);

export const cacheTtl = (otherwise: string) =>
  durationOrOff({ max: MAX_CACHE_MS })
    .prefault(otherwise)
    .describe('How long an answer counts, at most 30 s; `off` asks every time.');
export const cacheEntries = (otherwise: number) =>
  z.int().min(0).max(1_000_000).prefault(otherwise).describe('Answers kept in each worker; 0 keeps none.');

export function identityEnabled({ document }: OptionContext): boolean {
  return (document?.['identity'] as { readonly enabled?: boolean } | undefined)?.enabled === true;
}

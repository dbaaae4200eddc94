/** Sets and ends overrides for operators: with owner, reason and end, audited. For every operation that does so. */
import * as z from 'zod';
import type { OperatorHost } from '../feature.ts';
import type { Override } from '../overrides.ts';
import { AdminError } from './kit.ts';

export const reason = z.string().min(1).max(200).describe('Why, for those who wonder later.');
export const forMs = z
  .int()
  .min(1_000)
  .max(30 * 86_400_000)
  .describe('How long it holds, in milliseconds.');

export interface Wish extends Pick<Override, 'kind' | 'target' | 'value' | 'instance'> {
  readonly reason: string;
  readonly forMs?: number | undefined;
}

/** Throws 409 where there are too many, or the configuration does not take it. */
export async function setByHand(host: OperatorHost, by: string, wish: Wish): Promise<Override> {
  const now = Date.now();
  const { reason: why, forMs: duration, ...what } = wish;
  const entry: Override = {
    ...what,
    owner: by,
    reason: why,
    since: new Date(now).toISOString(),
    until: duration === undefined ? null : new Date(now + duration).toISOString(),
  };
  await host.overrides.set(entry).catch((error: unknown) => {
    throw error instanceof RangeError ? new AdminError(409, 'CONFLICT', error.message) : error;
  });
  await host.audit({
    actor: by,
    action: `admin.${wish.kind}.set`,
    target: wish.target,
    detail: { value: wish.value, ...wish.instance, reason: why, until: entry.until },
  });
  return entry;
}

/** `ended` is false where there was none, as after a second call. */
export async function endByHand(
  host: OperatorHost,
  by: string,
  { kind, target }: Pick<Override, 'kind' | 'target'>,
): Promise<{ readonly ended: boolean }> {
  const ended = await host.overrides.end(kind, target, by);
  if (ended) await host.audit({ actor: by, action: `admin.${kind}.end`, target, detail: {} });
  return { ended };
}

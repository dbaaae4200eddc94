/**
 * Removes what is over: used and expired codes, old sessions and refresh tokens, forgotten failures, spent
 * revocations. Keeps used refresh tokens as long as their session lives, because only they show that one is used
 * twice. Small steps, so that nobody waits for a long transaction.
 */
import { messageOf } from '../../base/errors.ts';
import type { IdentityContext } from './context.ts';

const EVERY_MS = 10 * 60_000;
const DAY_MS = 86_400_000;

/** Starts the loop; returns the way out. */
export function startCleanup(context: IdentityContext): () => Promise<void> {
  let running: Promise<void> | undefined;
  const timer = setInterval(() => {
    running ??= sweep(context).finally(() => {
      running = undefined;
    });
  }, EVERY_MS).unref();
  return async () => {
    clearInterval(timer);
    await running;
  };
}

/** One round. Never throws: what cannot be removed now is removed later. */
export async function sweep(context: IdentityContext): Promise<void> {
  const now = context.clock.wallMs();
  const { db } = context.store;
  try {
    await db
      .deleteFrom('one_time_codes')
      .where('expires_at', '<', now - DAY_MS)
      .execute();
    await db.deleteFrom('revocations').where('expires_at', '<', now).execute();
    await db
      .deleteFrom('issued_tokens')
      .where('expires_at', '<', now - DAY_MS)
      .execute();
    await db
      .deleteFrom('guards')
      .where('last_at', '<', now - context.options.lockout.forgetAfter)
      .where('locked_until', '<', now)
      .execute();
    await db.deleteFrom('oidc_models').where('expires_at', '<', now).execute();
    // A session's refresh tokens go with it.
    await db
      .deleteFrom('sessions')
      .where('expires_at', '<', now - DAY_MS)
      .execute();
    await db
      .deleteFrom('sessions')
      .where('revoked_at', '<', now - 30 * DAY_MS)
      .execute();
    await db
      .deleteFrom('signing_keys')
      .where('drop_at', '<', now - 30 * DAY_MS)
      .execute();
  } catch (error) {
    context.log.warn('old rows could not be removed', { problem: messageOf(error) });
  }
}

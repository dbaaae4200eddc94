/**
 * Removes what is over: used and expired codes, old sessions and refresh tokens, forgotten failures, spent
 * revocations. Keeps used refresh tokens as long as their session lives, because only they show that one is used
 * twice. Small steps, so that nobody waits for a long transaction.
 */
import { messageOf } from '../../base/errors.ts';
import type { IdentityContext } from './context.ts';

const EVERY_MS = 10 * 60_000;
const DAY_MS = 86_400_000;
/** Codes of strangers that are kept. */
const MOST_OF_STRANGERS = 50_000;

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

/**
 * Codes that belong to no account, such as those of registrations that nobody confirms, are what strangers can make
 * without end: what is over goes at once, and beyond a number the oldest go.
 */
async function boundStrangers({ clock, store: { db } }: IdentityContext, most: number): Promise<void> {
  await db.deleteFrom('one_time_codes').where('user_id', 'is', null).where('expires_at', '<', clock.wallMs()).execute();
  const last = await db
    .selectFrom('one_time_codes')
    .select('created_at')
    .where('user_id', 'is', null)
    .orderBy('created_at', 'desc')
    .offset(most)
    .limit(1)
    .executeTakeFirst();
  if (last === undefined) return;
  await db
    .deleteFrom('one_time_codes')
    .where('user_id', 'is', null)
    .where('purpose', '!=', 'first-admin')
    .where('created_at', '<=', last.created_at)
    .execute();
}

/** One round. Never throws: what cannot be removed now is removed later. */
export async function sweep(context: IdentityContext, mostOfStrangers = MOST_OF_STRANGERS): Promise<void> {
  const now = context.clock.wallMs();
  const { db } = context.store;
  try {
    await db
      .deleteFrom('one_time_codes')
      .where('expires_at', '<', now - DAY_MS)
      .execute();
    await boundStrangers(context, mostOfStrangers);
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

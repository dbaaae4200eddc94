/** Ends sessions that somebody signs out of, and finds the one of a refresh token. */
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import { refreshTokenHash, revokeSessions } from './sessions.ts';

/** The session of a refresh token, used or not; undefined for one that is nobody's. */
export async function sessionOfRefreshToken(context: IdentityContext, token: string): Promise<string | undefined> {
  const row = await context.store.db
    .selectFrom('refresh_tokens')
    .select('session_id')
    .where('hash', '=', refreshTokenHash(context, token))
    .executeTakeFirst();
  return row?.session_id;
}

/** Ending twice is no error. */
export async function endSessions(context: IdentityContext, ids: Iterable<string>, caller: Caller): Promise<void> {
  await context.store.transaction(async (trx) => {
    for (const id of ids) {
      const ended = await revokeSessions(context, trx, { id }, 'signed out');
      if (ended.length === 0) continue;
      const session = await trx.selectFrom('sessions').select('user_id').where('id', '=', id).executeTakeFirst();
      const { address, requestId } = caller;
      const entry = { actor: session?.user_id ?? '', action: 'session.ended', target: id, address, requestId };
      await context.audit.append(trx, entry);
    }
  });
  await context.revocations.announce();
}

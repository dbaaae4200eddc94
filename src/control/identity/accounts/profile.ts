/** Changing how an account is called and in which language it gets emails. */
import { isUniqueViolation } from '../../store/faults.ts';
import type { Actor } from '../actor.ts';
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import type { User } from '../tables.ts';
import { knownLanguage } from './language.ts';
import { usernameTaken } from './register.ts';

export async function changeProfile(
  context: IdentityContext,
  actor: Actor,
  change: {
    displayName?: string | null | undefined;
    username?: string | undefined;
    language?: string | null | undefined;
  },
  caller: Caller,
): Promise<User> {
  const names =
    change.username === undefined ? {} : { username: change.username, username_key: change.username.toLowerCase() };
  const { language: asked } = change;
  const language = asked === undefined ? {} : { language: asked === null ? null : knownLanguage(context, asked) };
  const display = change.displayName === undefined ? {} : { display_name: change.displayName };
  try {
    return await context.store.transaction(async (trx) => {
      const user = await trx
        .updateTable('users')
        .set({ ...names, ...display, ...language, updated_at: context.clock.wallMs() })
        .where('id', '=', actor.user.id)
        .returningAll()
        .executeTakeFirstOrThrow();
      const { address, requestId } = caller;
      const detail = { fields: Object.keys(change) };
      const entry = { actor: actor.name, action: 'user.changed', target: user.id, address, requestId, detail };
      await context.audit.append(trx, entry);
      return user;
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw usernameTaken();
    throw error;
  }
}

/**
 * How the first administrator comes to be: never by a default password. Either `gatehouse user create --admin`, or a
 * link that is printed at start while there is no administrator, works once, and is void as soon as there is one.
 */
import type { Kysely } from 'kysely';
import { isUniqueViolation } from '../../store/faults.ts';
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import { linkTo } from '../mail/links.ts';
import { checkNewPassword } from '../password-hashing/policy.ts';
import { conflict, invalidCode } from '../problem.ts';
import type { IdentityTables, User } from '../tables.ts';
import { ownerOf } from './guard.ts';
import { languageOfCaller } from './language.ts';
import { insertUser } from './users.ts';

const LINK_TTL_MS = 86_400_000;

export async function hasAdmin(db: Kysely<IdentityTables>): Promise<boolean> {
  const row = await db
    .selectFrom('user_roles')
    .innerJoin('users', 'users.id', 'user_roles.user_id')
    .select('users.id')
    .where('user_roles.role', '=', 'admin')
    .executeTakeFirst();
  return row !== undefined;
}

/** The link, or undefined when there is an administrator. Earlier links stop working. */
export async function firstAdminLink(context: IdentityContext): Promise<string | undefined> {
  const code = await context.store.transaction(async (trx) => {
    if (await hasAdmin(trx)) return undefined;
    const now = context.clock.wallMs();
    await trx
      .updateTable('one_time_codes')
      .set({ used_at: now })
      .where('purpose', '=', 'first-admin')
      .where('used_at', 'is', null)
      .execute();
    return await context.codes.issue(trx, 'first-admin', { ttlMs: LINK_TTL_MS });
  });
  return code === undefined ? undefined : linkTo(context.options, 'setup', code);
}

export async function createFirstAdmin(
  context: IdentityContext,
  given: { token: string; email: string; password: string; username?: string | undefined },
  caller: Caller,
): Promise<User> {
  const { db } = context.store;
  context.budget.take('signUps', caller.address);
  await context.guard.checkAddress(db, caller.address);
  // A made-up code costs a look-up, not a hash.
  await context.guard.attempt(db, caller.address, async () => {
    const seen = await context.codes.look(db, 'first-admin', given.token, Number.POSITIVE_INFINITY);
    if (seen?.isGood !== true || (await hasAdmin(db))) throw invalidCode();
  });
  checkNewPassword(given.password, [given.email, given.username], context.options.passwords);
  const passwordHash = await context.hasher.hash(given.password, ownerOf(caller));
  try {
    return await context.store.transaction(async (trx) => {
      // Using the code up comes first: of two requests with one link the second finds it used.
      if ((await context.codes.use(trx, 'first-admin', given.token)) === undefined) throw invalidCode();
      if (await hasAdmin(trx)) throw invalidCode();
      const names = { email: given.email, username: given.username ?? null };
      const roles = [...new Set([...context.options.defaultRoles, 'admin'])];
      const user = await insertUser(context, trx, {
        kind: 'user',
        ...names,
        emailVerified: true,
        passwordHash,
        roles,
        language: languageOfCaller(context, caller),
      });
      const { address, requestId } = caller;
      await context.audit.append(trx, {
        actor: 'system',
        action: 'user.first-admin',
        target: user.id,
        address,
        requestId,
      });
      return user;
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw conflict('name_taken', 'the address or the user name is taken');
    throw error;
  }
}

/**
 * Codes of authenticator apps (RFC 6238, otplib). A code is taken once: the time step it belongs to must be later
 * than the last one taken, and one UPDATE both compares and stores it, so two requests with one code cannot both pass.
 */

import type { Kysely } from 'kysely';
import { generateSecret, generateURI, verify } from 'otplib';
import { Encryption } from '../../secrets/encryption.ts';
import type { IdentityContext } from '../context.ts';
import type { IdentityTables, User } from '../tables.ts';

const STEP_SECONDS = 30;
/** A clock may be wrong by one step either way. */
const TOLERANCE_SECONDS = 30;

type Handle = Kysely<IdentityTables>;

function encryption(context: IdentityContext): Encryption {
  return new Encryption(context.master.derive('totp'));
}

/** A new secret that counts only once `confirmTotp` has seen a code of it. Replaces one that was never confirmed. */
export async function enrolTotp(
  context: IdentityContext,
  db: Handle,
  user: User,
): Promise<{ secret: string; uri: string } | undefined> {
  const secret = generateSecret({ length: 20 });
  const label = user.email ?? user.username ?? user.id;
  const row = {
    sealed_secret: encryption(context).encrypt(secret, user.id),
    created_at: context.clock.wallMs(),
    confirmed_at: null,
    last_step: 0,
  };
  const stored = await db
    .insertInto('mfa_totp')
    .values({ user_id: user.id, ...row })
    .onConflict((conflict) => conflict.column('user_id').doUpdateSet(row).where('mfa_totp.confirmed_at', 'is', null))
    .returning('user_id')
    .executeTakeFirst();
  if (stored === undefined) return undefined;
  return { secret, uri: generateURI({ issuer: context.options.mfa.issuer, label, secret }) };
}

/** True when the code is right and was not used before. With `confirm`, only for a secret that waits for it. */
export async function takeTotp(
  context: IdentityContext,
  db: Handle,
  userId: string,
  code: string,
  confirm = false,
): Promise<boolean> {
  let query = db.selectFrom('mfa_totp').selectAll().where('user_id', '=', userId);
  query = confirm ? query.where('confirmed_at', 'is', null) : query.where('confirmed_at', 'is not', null);
  const row = await query.executeTakeFirst();
  if (row === undefined) return false;
  const epoch = Math.floor(context.clock.wallMs() / 1_000);
  const secret = encryption(context).decrypt(row.sealed_secret, userId);
  const result = await verify({ secret, token: code, epoch, period: STEP_SECONDS, epochTolerance: TOLERANCE_SECONDS });
  if (!result.valid) return false;
  const step = Math.floor(epoch / STEP_SECONDS) + result.delta;
  let update = db
    .updateTable('mfa_totp')
    .set(confirm ? { last_step: step, confirmed_at: context.clock.wallMs() } : { last_step: step })
    .where('user_id', '=', userId)
    .where('last_step', '<', step)
    .where('sealed_secret', '=', row.sealed_secret);
  if (confirm) update = update.where('confirmed_at', 'is', null);
  return (await update.returning('user_id').executeTakeFirst()) !== undefined;
}

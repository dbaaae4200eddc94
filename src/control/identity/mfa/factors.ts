/** Which second factors an account has. */
import type { Kysely } from 'kysely';
import type { IdentityTables } from '../tables.ts';

export type Factor = 'totp' | 'passkey' | 'recovery';

/** Empty when the account has none; `recovery` only beside another one. */
export async function factorsOf(db: Kysely<IdentityTables>, userId: string): Promise<Factor[]> {
  const factors: Factor[] = [];
  const totp = await db
    .selectFrom('mfa_totp')
    .select('user_id')
    .where('user_id', '=', userId)
    .where('confirmed_at', 'is not', null)
    .executeTakeFirst();
  if (totp !== undefined) factors.push('totp');
  const passkey = await db.selectFrom('passkeys').select('id').where('user_id', '=', userId).executeTakeFirst();
  if (passkey !== undefined) factors.push('passkey');
  if (factors.length === 0) return [];
  const code = await db
    .selectFrom('recovery_codes')
    .select('user_id')
    .where('user_id', '=', userId)
    .where('used_at', 'is', null)
    .executeTakeFirst();
  if (code !== undefined) factors.push('recovery');
  return factors;
}

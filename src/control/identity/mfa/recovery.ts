/** Recovery codes: ten at a time, shown once, kept as keyed hashes, each good once (docs/identity-rules.md, 1). */
import { randomInt } from 'node:crypto';
import type { Kysely } from 'kysely';
import { keyedHash } from '../../secrets/master-key.ts';
import type { IdentityContext } from '../context.ts';
import type { IdentityTables } from '../tables.ts';

const COUNT = 10;
/** Without letters that are read as digits; 10 of 31 letters are 49 bits, and tries are counted. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789';

type Handle = Kysely<IdentityTables>;

function hashOf(context: IdentityContext, userId: string, code: string): string {
  const plain = code.toLowerCase().replace('-', '');
  return keyedHash(context.master.derive('recovery-codes'), `${userId}:${plain}`);
}

/** New codes; the old ones stop working. */
export async function makeRecoveryCodes(context: IdentityContext, db: Handle, userId: string): Promise<string[]> {
  await db.deleteFrom('recovery_codes').where('user_id', '=', userId).execute();
  const codes = Array.from({ length: COUNT }, () => {
    const letters = Array.from({ length: 10 }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
    return `${letters.slice(0, 5)}-${letters.slice(5)}`;
  });
  await db
    .insertInto('recovery_codes')
    .values(codes.map((code) => ({ hash: hashOf(context, userId, code), user_id: userId, used_at: null })))
    .execute();
  return codes;
}

export async function takeRecoveryCode(
  context: IdentityContext,
  db: Handle,
  userId: string,
  code: string,
): Promise<boolean> {
  const used = await db
    .updateTable('recovery_codes')
    .set({ used_at: context.clock.wallMs() })
    .where('hash', '=', hashOf(context, userId, code))
    .where('user_id', '=', userId)
    .where('used_at', 'is', null)
    .returning('user_id')
    .executeTakeFirst();
  return used !== undefined;
}

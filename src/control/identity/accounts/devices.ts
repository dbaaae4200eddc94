/**
 * Devices that an account knows: a cookie that its sign-ins leave, so that wrong passwords of strangers never lock out
 * the owner (guard.ts). The cookie proves no right and opens nothing. It holds an id and one keyed hash for each of the
 * last accounts, so nothing is stored, and no other account can be told from it.
 */
import type { Kysely } from 'kysely';
import { keyedHash } from '../../secrets/master-key.ts';
import { randomSecret } from '../../secrets/random-token.ts';
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import type { IdentityTables, User } from '../tables.ts';
import type { Guesser } from './guard.ts';

export const DEVICE_COOKIE = 'gh_device';
export const DEVICE_COOKIE_SECONDS = 365 * 86_400;
/** Accounts that one browser may be known to. */
const MAX_ACCOUNTS = 5;
const FORM = /^[A-Za-z0-9]{20,40}(\.[A-Za-z0-9_-]{43}){1,5}$/;

const markOf = (context: IdentityContext, device: string, userId: string): string =>
  keyedHash(context.master.derive('device-cookies'), `${device} ${userId}`);

/** The value for the cookie after a sign-in: the device it was, or a new one, which now knows this account too. */
export function rememberDevice(context: IdentityContext, userId: string, cookie: string | undefined): string {
  const [known, ...marks] = cookie !== undefined && FORM.test(cookie) ? cookie.split('.') : [];
  const device = known ?? randomSecret(16);
  const mark = markOf(context, device, userId);
  return [device, mark, ...marks.filter((each) => each !== mark)].slice(0, MAX_ACCOUNTS + 1).join('.');
}

/** Is the device, or the address by a session that lives, known to the account? The same statements for any account. */
export async function guesserOf(
  context: IdentityContext,
  db: Kysely<IdentityTables>,
  user: User | undefined,
  caller: Caller,
): Promise<Guesser> {
  const userId = user?.id ?? '';
  const { address, device: cookie } = caller;
  const [device = '', ...marks] = cookie !== undefined && FORM.test(cookie) ? cookie.split('.') : [];
  const isOwn = device !== '' && marks.includes(markOf(context, device, userId));
  const here = await db
    .selectFrom('sessions')
    .select('id')
    .where('user_id', '=', userId)
    .where('address', '=', address)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', context.clock.wallMs())
    .executeTakeFirst();
  return { address, isKnown: isOwn || here !== undefined, ...(isOwn ? { device } : {}) };
}

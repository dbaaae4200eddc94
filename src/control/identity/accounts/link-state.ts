/**
 * What a link of an email is still worth, before anything is done with it: opening a page uses no code up, since
 * programs that check mails for harm open links, too. Says whose account it is about only to who holds the code.
 */
import type { IdentityContext } from '../context.ts';
import type { LinkAction } from '../mail/links.ts';
import { hasAdmin } from './first-admin.ts';
import { CONFIRM_ATTEMPTS } from './register.ts';
import { findById } from './users.ts';

export type LinkState =
  | { readonly state: 'good'; readonly account: string; readonly isNewAccount: boolean }
  /** Used, replaced, expired, tried too often, or its account is gone. */
  | { readonly state: 'over' }
  | { readonly state: 'unknown' };

const UNKNOWN: LinkState = { state: 'unknown' };
const OVER: LinkState = { state: 'over' };

export async function linkState(context: IdentityContext, action: LinkAction, token: string): Promise<LinkState> {
  if (action === 'setup') return await openSetup(context, token);
  if (action === 'reset-password') return await openReset(context, token);
  return await openVerify(context, token);
}

async function openSetup({ codes, store }: IdentityContext, token: string): Promise<LinkState> {
  const found = await codes.look(store.db, 'first-admin', token, Number.POSITIVE_INFINITY);
  if (found === undefined) return UNKNOWN;
  if (!found.isGood || (await hasAdmin(store.db))) return OVER;
  return { state: 'good', account: '', isNewAccount: true };
}

async function openReset({ codes, store }: IdentityContext, token: string): Promise<LinkState> {
  const found = await codes.look(store.db, 'reset-password', token, Number.POSITIVE_INFINITY);
  if (found === undefined) return UNKNOWN;
  const user = found.isGood && found.userId !== null ? await findById(store.db, found.userId) : undefined;
  if (user?.status !== 'active') return OVER;
  return { state: 'good', account: user.email ?? user.username ?? '', isNewAccount: false };
}

/** The address of a registration, or the new address of an account: one email serves both. */
async function openVerify({ codes, store }: IdentityContext, token: string): Promise<LinkState> {
  const { db } = store;
  const registered = await codes.look(db, 'register', token, CONFIRM_ATTEMPTS);
  const found = registered ?? (await codes.look(db, 'verify-email', token, CONFIRM_ATTEMPTS));
  if (found === undefined) return UNKNOWN;
  if (!found.isGood) return OVER;
  const { email } = found.payload as { readonly email: string };
  if (registered !== undefined) return { state: 'good', account: email, isNewAccount: true };
  const user = found.userId === null ? undefined : await findById(db, found.userId);
  return user?.status === 'active' ? { state: 'good', account: email, isNewAccount: false } : OVER;
}

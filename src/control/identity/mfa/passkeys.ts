/**
 * Passkeys (WebAuthn, @simplewebauthn/server, loaded when first used): registering one, and proving one, as a second
 * factor or as the whole sign-in. Challenges are one-time codes; the signature counter moves by compare-and-set.
 */
import { randomBytes } from 'node:crypto';
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server';
import { isUniqueViolation } from '../../store/faults.ts';
import { findById } from '../accounts/users.ts';
import type { IdentityContext } from '../context.ts';
import { conflict, invalidCode } from '../problem.ts';
import type { User } from '../tables.ts';

const CHALLENGE_TTL_MS = 5 * 60_000;
const MAX_PASSKEYS = 20;

interface Party {
  readonly rpId: string;
  readonly origins: string[];
}

/** `response`: what the authenticator said, and with it on which page. */
function party(context: IdentityContext, response?: Record<string, unknown>): Party {
  const url = new URL(context.options.publicUrl);
  const { origins } = context.options.passkeys;
  const own = origins.length > 0 ? origins : [url.origin];
  const rpId = passkeyDomain(context);
  const here = response === undefined || rpId !== 'localhost' ? undefined : originIn(response);
  // The console on this machine has a port of its own, and no page of elsewhere is on localhost.
  const isLocal = here !== undefined && /^http:\/\/localhost(:\d{1,5})?$/.test(here);
  return { rpId, origins: isLocal ? [...own, here] : own };
}

export function passkeyDomain({ options }: IdentityContext): string {
  return options.passkeys.rpId ?? new URL(options.publicUrl).hostname;
}

function originIn(response: Record<string, unknown>): string | undefined {
  const { clientDataJSON } = (response['response'] ?? {}) as { readonly clientDataJSON?: unknown };
  if (typeof clientDataJSON !== 'string') return undefined;
  try {
    const { origin } = JSON.parse(Buffer.from(clientDataJSON, 'base64url').toString()) as { origin?: unknown };
    return typeof origin === 'string' ? origin : undefined;
  } catch {
    return undefined;
  }
}

export async function passkeyRegistration(context: IdentityContext, user: User): Promise<object> {
  const { generateRegistrationOptions } = await import('@simplewebauthn/server');
  const existing = await context.store.db
    .selectFrom('passkeys')
    .select(['id', 'transports'])
    .where('user_id', '=', user.id)
    .execute();
  if (existing.length >= MAX_PASSKEYS)
    throw conflict('too_many_passkeys', `an account may have ${MAX_PASSKEYS} passkeys`);
  const challenge = randomBytes(32);
  await context.codes.issue(context.store.db, 'passkey-register', {
    userId: user.id,
    ttlMs: CHALLENGE_TTL_MS,
    text: challenge.toString('base64url'),
  });
  return await generateRegistrationOptions({
    rpName: context.options.passkeys.rpName,
    rpID: party(context).rpId,
    userName: user.email ?? user.username ?? user.id,
    userDisplayName: user.display_name ?? '',
    userID: new Uint8Array(Buffer.from(user.id)),
    challenge: new Uint8Array(challenge),
    excludeCredentials: existing.map((row) => ({ id: row.id, transports: JSON.parse(row.transports) as string[] })),
    authenticatorSelection: { residentKey: 'preferred', userVerification: 'required' },
  });
}

/** Stores the new passkey; throws 400 when the answer does not fit the challenge. */
export async function addPasskey(
  context: IdentityContext,
  user: User,
  response: Record<string, unknown>,
  name: string,
): Promise<string> {
  const { verifyRegistrationResponse } = await import('@simplewebauthn/server');
  const { rpId, origins } = party(context, response);
  const result = await verifyRegistrationResponse({
    response: response as unknown as RegistrationResponseJSON,
    expectedChallenge: async (challenge) =>
      (await context.codes.use(context.store.db, 'passkey-register', challenge))?.userId === user.id,
    expectedOrigin: origins,
    expectedRPID: rpId,
    requireUserVerification: true,
  }).catch(() => undefined); // it throws for whatever does not fit; the reason helps only an attacker
  if (result?.verified !== true) throw invalidCode();
  const { credential } = result.registrationInfo;
  try {
    await context.store.transaction(async (trx) => {
      await trx
        .insertInto('passkeys')
        .values({
          id: credential.id,
          user_id: user.id,
          public_key: Buffer.from(credential.publicKey).toString('base64url'),
          counter: credential.counter,
          transports: JSON.stringify(credential.transports ?? []),
          name,
          created_at: context.clock.wallMs(),
          last_used_at: null,
        })
        .execute();
      await context.audit.append(trx, { actor: user.id, action: 'mfa.passkey-added', target: credential.id });
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw conflict('passkey_known', 'this passkey is registered already');
    throw error;
  }
  return credential.id;
}

/** Options for proving a passkey. Without an account the browser offers what it has for this site. */
export async function passkeyChallenge(context: IdentityContext, userId: string | null): Promise<object> {
  const { generateAuthenticationOptions } = await import('@simplewebauthn/server');
  const challenge = userId === null ? carriedChallenge(context) : randomBytes(32);
  if (userId !== null) {
    const about = { userId, ttlMs: CHALLENGE_TTL_MS, text: challenge.toString('base64url'), keepEarlier: true };
    await context.codes.issue(context.store.db, 'passkey-login', about);
  }
  const known =
    userId === null
      ? []
      : await context.store.db
          .selectFrom('passkeys')
          .select(['id', 'transports'])
          .where('user_id', '=', userId)
          .execute();
  return await generateAuthenticationOptions({
    rpID: party(context).rpId,
    challenge: new Uint8Array(challenge),
    userVerification: 'required',
    ...(known.length === 0
      ? {}
      : { allowCredentials: known.map((row) => ({ id: row.id, transports: JSON.parse(row.transports) as string[] })) }),
  });
}

/** For anybody who asks: nothing is written until a passkey was proven with it. */
function carriedChallenge(context: IdentityContext): Buffer {
  return Buffer.from(context.codes.carry('passkey-login', CHALLENGE_TTL_MS), 'base64url');
}

/** The account that proved its passkey, or undefined. With `userId` it must be that account's. */
export async function takePasskey(
  context: IdentityContext,
  response: Record<string, unknown>,
  userId?: string,
): Promise<User | undefined> {
  const id = response['id'];
  if (typeof id !== 'string' || id.length > 1_400) return undefined;
  const { db } = context.store;
  const passkey = await db.selectFrom('passkeys').selectAll().where('id', '=', id).executeTakeFirst();
  if (passkey === undefined || (userId !== undefined && passkey.user_id !== userId)) return undefined;
  const { verifyAuthenticationResponse } = await import('@simplewebauthn/server');
  const { rpId, origins } = party(context, response);
  let carried: string | undefined;
  const result = await verifyAuthenticationResponse({
    response: response as unknown as AuthenticationResponseJSON,
    expectedChallenge: async (challenge) => {
      if (context.codes.isCarried('passkey-login', challenge)) {
        carried = challenge;
        return true;
      }
      const used = await context.codes.use(db, 'passkey-login', challenge);
      return used !== undefined && used.userId === passkey.user_id;
    },
    expectedOrigin: origins,
    expectedRPID: rpId,
    requireUserVerification: true,
    credential: {
      id: passkey.id,
      publicKey: new Uint8Array(Buffer.from(passkey.public_key, 'base64url')),
      counter: passkey.counter,
    },
  }).catch(() => undefined);
  if (result?.verified !== true) return undefined;
  if (carried !== undefined && !(await context.codes.spend(db, 'passkey-login', carried, CHALLENGE_TTL_MS)))
    return undefined;
  // Counters of synchronised passkeys stay at 0; any other must have moved on, for two requests at once as well.
  const moved = await db
    .updateTable('passkeys')
    .set({ counter: result.authenticationInfo.newCounter, last_used_at: context.clock.wallMs() })
    .where('id', '=', passkey.id)
    .where('counter', '=', passkey.counter)
    .returning('user_id')
    .executeTakeFirst();
  return moved === undefined ? undefined : await findById(db, moved.user_id);
}

/** Making, listing, rotating and ending API keys. The text of a key is in the answer that makes it and nowhere else. */
import type { Transaction } from 'kysely';
import type { Access } from '../accounts/access.ts';
import { revokeKeys } from '../accounts/users.ts';
import type { IdentityContext } from '../context.ts';
import { conflict, invalidField, notFound } from '../problem.ts';
import type { ShownKey } from '../responses.ts';
import type { ApiKeyTable, IdentityTables } from '../tables.ts';
import { makeKeyText } from './format.ts';

type Trx = Transaction<IdentityTables>;

export interface NewKey {
  readonly name: string;
  readonly scopes: readonly string[];
  /** Only those that are asked for: a key is for a program, which seldom needs to be all that its owner is. */
  readonly roles?: readonly string[];
  readonly plan?: string | null | undefined;
  /** Milliseconds of life; null for ever. */
  readonly ttlMs: number | null;
  readonly addresses: readonly string[];
}

/** Throws 400 for a scope that the owner does not have and 409 beyond the owner's number of keys. */
export async function createKey(
  context: IdentityContext,
  trx: Trx,
  ownerId: string,
  access: Access,
  fresh: NewKey,
): Promise<{ key: string; row: ApiKeyTable }> {
  const foreign = fresh.scopes.find((scope) => !access.scopes.includes(scope));
  if (foreign !== undefined) throw invalidField('scopes', 'scopes that the owner has', foreign);
  const foreignRole = fresh.roles?.find((role) => !access.roles.includes(role));
  if (foreignRole !== undefined) throw invalidField('roles', 'roles that the owner has', foreignRole);
  if (fresh.plan != null && fresh.plan !== access.plan) throw invalidField('plan', "the owner's plan", fresh.plan);
  const { maxTtl } = context.options.apiKeys;
  if (maxTtl !== undefined && (fresh.ttlMs === null || fresh.ttlMs > maxTtl)) {
    throw invalidField('expiresIn', `at most ${Math.floor(maxTtl / 1_000)} seconds`);
  }
  const now = context.clock.wallMs();
  await refuseTooMany(context, trx, ownerId, 0);
  const { id, text, hash } = makeKeyText();
  const row: ApiKeyTable = {
    id,
    user_id: ownerId,
    name: fresh.name,
    hash,
    scopes: JSON.stringify(fresh.scopes),
    roles: JSON.stringify(fresh.roles ?? []),
    plan: fresh.plan ?? null,
    addresses: JSON.stringify(fresh.addresses),
    created_at: now,
    expires_at: fresh.ttlMs === null ? null : now + fresh.ttlMs,
    last_used_at: null,
    revoked_at: null,
  };
  await trx.insertInto('api_keys').values(row).execute();
  return { key: text, row };
}

/** A living or ended key of this owner. */
export async function findKey(trx: Trx, id: string, ownerId: string): Promise<ApiKeyTable | undefined> {
  return await trx
    .selectFrom('api_keys')
    .selectAll()
    .where('id', '=', id)
    .where('user_id', '=', ownerId)
    .executeTakeFirst();
}

/** Throws 409 when one more would be too many; `ending` of those that live now are about to end. */
async function refuseTooMany(context: IdentityContext, trx: Trx, ownerId: string, ending: number): Promise<void> {
  const { maxPerUser } = context.options.apiKeys;
  const now = context.clock.wallMs();
  // The owner's row orders two requests at once, so that together they do not pass the limit.
  await trx.updateTable('users').set({ updated_at: now }).where('id', '=', ownerId).execute();
  const { live } = await trx
    .selectFrom('api_keys')
    .select((eb) => eb.fn.countAll<number>().as('live'))
    .where('user_id', '=', ownerId)
    .where('revoked_at', 'is', null)
    .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', now)]))
    .executeTakeFirstOrThrow();
  if (Number(live) - ending >= maxPerUser)
    throw conflict('too_many_keys', `an account may have ${maxPerUser} live keys`);
}

/** A new key with the settings of an old one, which ends at once or after `graceMs`. */
export async function rotateKey(
  context: IdentityContext,
  trx: Trx,
  id: string,
  ownerId: string,
  graceMs: number,
): Promise<{ key: string; row: ApiKeyTable }> {
  const now = context.clock.wallMs();
  const old = await trx
    .updateTable('api_keys')
    .set({ name: (eb) => eb.ref('name') })
    .where('id', '=', id)
    .where('user_id', '=', ownerId)
    .where('revoked_at', 'is', null)
    .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', now)]))
    .returningAll()
    .executeTakeFirst();
  if (old === undefined) throw notFound('key');
  // With a grace both live for a while, and both count.
  await refuseTooMany(context, trx, ownerId, graceMs === 0 ? 1 : 0);
  const { id: newId, text, hash } = makeKeyText();
  const row: ApiKeyTable = { ...old, id: newId, hash, created_at: now, last_used_at: null };
  if (old.expires_at !== null) row.expires_at = now + (old.expires_at - old.created_at);
  await trx.insertInto('api_keys').values(row).execute();
  if (graceMs === 0) await revokeKeys(context, trx, { id });
  else {
    const until = Math.min(now + graceMs, old.expires_at ?? Number.MAX_SAFE_INTEGER);
    await trx.updateTable('api_keys').set({ expires_at: until }).where('id', '=', id).execute();
  }
  return { key: text, row };
}

/** A key as its owner may see it. */
export function publicKey(row: ApiKeyTable): ShownKey {
  const time = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());
  return {
    id: row.id,
    name: row.name,
    owner: row.user_id,
    scopes: JSON.parse(row.scopes),
    roles: JSON.parse(row.roles),
    plan: row.plan,
    addresses: JSON.parse(row.addresses),
    createdAt: new Date(row.created_at).toISOString(),
    expiresAt: time(row.expires_at),
    lastUsedAt: time(row.last_used_at),
    revokedAt: time(row.revoked_at),
  };
}

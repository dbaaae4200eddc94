/**
 * What a person allowed applications to do for the account: seen and ended by the person. Ending a grant ends every
 * token and code that came of it, at once, since the tokens of applications are looked up wherever they are used.
 */
import type { Transaction } from 'kysely';
import { Encryption } from '../../secrets/encryption.ts';
import type { IdentityContext } from '../context.ts';
import type { IdentityTables } from '../tables.ts';
import { findClient } from './clients.ts';
import { readPayload } from './payload.ts';

type Trx = Transaction<IdentityTables>;

/** More an account hardly has; the newest are shown. */
const MOST_SHOWN = 1_000;

export interface Grant {
  readonly clientId: string;
  /** Of the application; its id when it is there no more. */
  readonly name: string;
  readonly scopes: readonly string[];
  readonly grantedAt: string;
  readonly expiresAt: string | null;
}

/** One for each application, with all that it was allowed; the newest first. */
export async function grantsOf(context: IdentityContext, userId: string): Promise<Grant[]> {
  const { db } = context.store;
  const rows = await db
    .selectFrom('oidc_models')
    .selectAll()
    .where('model', '=', 'Grant')
    .where('account_id', '=', userId)
    .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', context.clock.wallMs())]))
    .orderBy('expires_at', 'desc')
    .limit(MOST_SHOWN)
    .execute();
  const encryption = new Encryption(context.master.derive('oauth'));
  const byClient = new Map<string, { scopes: Set<string>; since: number; until: number | null }>();
  for (const row of rows) {
    if (row.client_id === null) continue;
    const payload = readPayload(encryption, row) as { iat?: number; openid?: { scope?: string } };
    const since = (payload.iat ?? 0) * 1_000;
    const known = byClient.get(row.client_id) ?? { scopes: new Set(), since, until: row.expires_at };
    for (const scope of payload.openid?.scope?.split(' ') ?? []) if (scope !== '') known.scopes.add(scope);
    known.since = Math.min(known.since, since);
    byClient.set(row.client_id, known);
  }
  const grants: Grant[] = [];
  for (const [clientId, { scopes, since, until }] of byClient) {
    const configured = context.options.oauth.clients.find((each) => each.id === clientId);
    const { name = clientId } = configured ?? (await findClient(context, db, clientId))?.settings ?? {};
    const expiresAt = until === null ? null : new Date(until).toISOString();
    grants.push({ clientId, name, scopes: [...scopes], grantedAt: new Date(since).toISOString(), expiresAt });
  }
  return grants;
}

/**
 * Ends what one application was granted, or with `clientId` undefined all of them and the person's session at the
 * provider, which would give the next application a code without a question. Returns how many rows there were.
 */
export async function endGrants(trx: Trx, userId: string, clientId?: string): Promise<number> {
  let query = trx.deleteFrom('oidc_models').where('account_id', '=', userId);
  if (clientId !== undefined) query = query.where('client_id', '=', clientId);
  return (await query.returning('model').execute()).length;
}

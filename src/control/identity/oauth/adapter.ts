/**
 * Where oidc-provider keeps its things: one table, payloads sealed, ids hashed (docs/identity-rules.md, 3). A copy of
 * the database gives neither a code nor a token. `consume` is one statement, and whoever comes second gets
 * `invalid_grant`: with a naive adapter, four of eight parallel exchanges of one code went through on PostgreSQL.
 */
import { hash } from 'node:crypto';
import type { Adapter, AdapterPayload } from 'oidc-provider';
import { errors } from 'oidc-provider';
import { Encryption } from '../../secrets/encryption.ts';
import type { IdentityContext } from '../context.ts';
import type { OidcTable } from '../tables.ts';
import { clientOf, findClient } from './clients.ts';
import { readPayload } from './payload.ts';

/** Their id is the secret that the caller holds; it is not even in the sealed payload. */
const BEARERS = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken', 'ClientCredentials']);

/** What anybody can make, without an account; of each there are so many rows at most, and the oldest go. */
const OF_STRANGERS = new Set(['Interaction', 'Session', 'DeviceCode']);
const MOST_OF_STRANGERS = 5_000;

function hashOf(text: string): string {
  return hash('sha256', text, 'base64url');
}

export function adapterFactory(
  context: IdentityContext,
  mostOfStrangers = MOST_OF_STRANGERS,
): (model: string) => Adapter {
  const encryption = new Encryption(context.master.derive('oauth'));
  return (model) =>
    model === 'Client' ? new ClientAdapter(context) : new SqlAdapter(context, encryption, model, mostOfStrangers);
}

/** Applications that administrators made; those of the configuration are known to the provider itself. */
class ClientAdapter implements Adapter {
  readonly #context: IdentityContext;

  constructor(context: IdentityContext) {
    this.#context = context;
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const found = await findClient(this.#context, this.#context.store.db, id);
    if (found === undefined) return undefined;
    return clientOf(found.settings, this.#context.signingKeys.algorithm) as AdapterPayload;
  }

  async upsert(): Promise<void> {
    throw new TypeError('applications are made by administrators');
  }

  async destroy(): Promise<void> {
    throw new TypeError('applications are removed by administrators');
  }

  async findByUid(): Promise<undefined> {}
  async findByUserCode(): Promise<undefined> {}
  async consume(): Promise<void> {}
  async revokeByGrantId(): Promise<void> {}
}

class SqlAdapter implements Adapter {
  readonly #context: IdentityContext;
  readonly #encryption: Encryption;
  readonly #model: string;
  readonly #mostOfStrangers: number;
  #madeByStrangers = 0;

  constructor(context: IdentityContext, encryption: Encryption, model: string, mostOfStrangers: number) {
    this.#context = context;
    this.#encryption = encryption;
    this.#model = model;
    this.#mostOfStrangers = mostOfStrangers;
  }

  async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const hash = hashOf(id);
    const { jti, ...rest } = payload;
    const kept = BEARERS.has(this.#model) ? rest : { ...rest, jti };
    const optional = (text: string | undefined): string | null => (text === undefined ? null : hashOf(text));
    const row = {
      sealed: this.#encryption.encrypt(JSON.stringify(kept), `${this.#model}:${hash}`),
      grant_hash: optional(payload.grantId),
      uid_hash: optional(payload.uid),
      user_code_hash: optional(payload.userCode),
      account_id: payload.accountId ?? null,
      client_id: payload.clientId ?? null,
      expires_at: expiresIn === undefined ? null : Date.now() + expiresIn * 1_000,
    };
    await this.#context.store.db
      .insertInto('oidc_models')
      .values({ model: this.#model, hash, consumed_at: null, ...row })
      .onConflict((conflict) => conflict.columns(['model', 'hash']).doUpdateSet(row))
      .execute();
    if (row.account_id === null && OF_STRANGERS.has(this.#model)) await this.#bound();
  }

  /** Looked at now and then, so that it is up to a twentieth more. */
  async #bound(): Promise<void> {
    const most = this.#mostOfStrangers;
    if (++this.#madeByStrangers < most / 20) return;
    this.#madeByStrangers = 0;
    const { db } = this.#context.store;
    const last = await db
      .selectFrom('oidc_models')
      .select('expires_at')
      .where('model', '=', this.#model)
      .where('account_id', 'is', null)
      .orderBy('expires_at', 'desc')
      .offset(most)
      .limit(1)
      .executeTakeFirst();
    if (last === undefined || last.expires_at === null) return;
    await db
      .deleteFrom('oidc_models')
      .where('model', '=', this.#model)
      .where('account_id', 'is', null)
      .where('expires_at', '<=', last.expires_at)
      .execute();
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const row = await this.#rows().where('hash', '=', hashOf(id)).executeTakeFirst();
    return row === undefined ? undefined : { ...this.#read(row), jti: id };
  }

  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    const row = await this.#rows().where('uid_hash', '=', hashOf(uid)).executeTakeFirst();
    return row === undefined ? undefined : this.#read(row);
  }

  async findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    const row = await this.#rows().where('user_code_hash', '=', hashOf(userCode)).executeTakeFirst();
    return row === undefined ? undefined : this.#read(row);
  }

  async consume(id: string): Promise<void> {
    const used = await this.#context.store.db
      .updateTable('oidc_models')
      .set({ consumed_at: Math.floor(Date.now() / 1_000) })
      .where('model', '=', this.#model)
      .where('hash', '=', hashOf(id))
      .where('consumed_at', 'is', null)
      .returning('hash')
      .executeTakeFirst();
    if (used === undefined) throw new errors.InvalidGrant('it was used already');
  }

  async destroy(id: string): Promise<void> {
    await this.#context.store.db
      .deleteFrom('oidc_models')
      .where('model', '=', this.#model)
      .where('hash', '=', hashOf(id))
      .execute();
  }

  /** Called for each model of a grant; removing all of them at once does no harm. */
  async revokeByGrantId(grantId: string): Promise<void> {
    await this.#context.store.db.deleteFrom('oidc_models').where('grant_hash', '=', hashOf(grantId)).execute();
  }

  #rows() {
    return this.#context.store.db
      .selectFrom('oidc_models')
      .selectAll()
      .where('model', '=', this.#model)
      .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', Date.now())]));
  }

  #read(row: OidcTable): AdapterPayload {
    return readPayload(this.#encryption, row);
  }
}

/**
 * Applications that may use our provider: those of the configuration, and those that administrators make at run time,
 * which lie sealed in the database, because the provider needs their secrets as they are. A new application is there
 * for the next request of any process; one that is removed takes its grants and tokens with it.
 */
import type { Kysely, Transaction } from 'kysely';
import type { ClientMetadata } from 'oidc-provider';
import { Encryption } from '../../secrets/encryption.ts';
import type { IdentityContext } from '../context.ts';
import type { IdentityTables, OauthClientTable } from '../tables.ts';
import type { OauthProviderOptions } from './options.ts';

export type ClientSettings = OauthProviderOptions['clients'][number];

export interface StoredClient {
  readonly settings: ClientSettings;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly updatedAt: number;
}

type Handle = Kysely<IdentityTables>;
type Trx = Transaction<IdentityTables>;

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
export const MAX_CLIENTS = 1_000;

const encryption = (context: IdentityContext): Encryption => new Encryption(context.master.derive('oauth-clients'));

/** Throws a unique violation when the id is taken. */
export async function addClient(
  context: IdentityContext,
  trx: Trx,
  settings: ClientSettings,
  createdBy: string,
): Promise<StoredClient> {
  const now = context.clock.wallMs();
  const row = { ...columns(context, settings), created_by: createdBy, created_at: now, updated_at: now };
  await trx
    .insertInto('oauth_clients')
    .values({ id: settings.id, ...row })
    .execute();
  return { settings, createdBy, createdAt: now, updatedAt: now };
}

/** False when it is gone. */
export async function changeClient(context: IdentityContext, trx: Trx, settings: ClientSettings): Promise<boolean> {
  const changed = await trx
    .updateTable('oauth_clients')
    .set({ ...columns(context, settings), updated_at: context.clock.wallMs() })
    .where('id', '=', settings.id)
    .returning('id')
    .executeTakeFirst();
  return changed !== undefined;
}

function columns(context: IdentityContext, settings: ClientSettings): Pick<OauthClientTable, 'sealed' | 'scopes'> {
  return {
    sealed: encryption(context).encrypt(JSON.stringify(settings), `client:${settings.id}`),
    scopes: JSON.stringify(settings.scopes),
  };
}

export async function findClient(context: IdentityContext, db: Handle, id: string): Promise<StoredClient | undefined> {
  const row = await db.selectFrom('oauth_clients').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : read(context, row);
}

export async function listClients(context: IdentityContext, db: Handle): Promise<StoredClient[]> {
  const rows = await db.selectFrom('oauth_clients').selectAll().orderBy('id').limit(MAX_CLIENTS).execute();
  return rows.map((row) => read(context, row));
}

function read(context: IdentityContext, row: OauthClientTable): StoredClient {
  const settings = JSON.parse(encryption(context).decrypt(row.sealed, `client:${row.id}`)) as ClientSettings;
  return { settings, createdBy: row.created_by, createdAt: row.created_at, updatedAt: row.updated_at };
}

/** With everything that was given to it. False when there is none. */
export async function removeClient(trx: Trx, id: string): Promise<boolean> {
  const gone = await trx.deleteFrom('oauth_clients').where('id', '=', id).returning('id').executeTakeFirst();
  if (gone === undefined) return false;
  await trx.deleteFrom('oidc_models').where('client_id', '=', id).execute();
  return true;
}

/** Changes with every change of an application, in whichever process. */
export async function clientsVersion(db: Handle): Promise<string> {
  const row = await db
    .selectFrom('oauth_clients')
    .select((eb) => [eb.fn.countAll().as('count'), eb.fn.max('updated_at').as('at')])
    .executeTakeFirstOrThrow();
  return `${row.count}@${row.at ?? 0}`;
}

/** The provider refuses applications with scopes that it was not made for. */
export async function scopesOfClients(db: Handle): Promise<string[]> {
  const rows = await db.selectFrom('oauth_clients').select('scopes').limit(MAX_CLIENTS).execute();
  return rows.flatMap((row) => JSON.parse(row.scopes) as string[]);
}

export function clientOf(options: ClientSettings, algorithm: string): ClientMetadata {
  const code = options.grants.includes('authorization_code');
  const grants = options.grants.map((grant) => (grant === 'device_code' ? DEVICE_GRANT : grant));
  const native = options.redirectUris.some(
    (uri) => /^http:\/\/(127\.0\.0\.1|\[::1\])/.test(uri) || !/^https?:/.test(uri),
  );
  return {
    client_id: options.id,
    client_name: options.name,
    ...(options.secret === undefined ? {} : { client_secret: options.secret }),
    token_endpoint_auth_method: options.secret === undefined ? 'none' : 'client_secret_basic',
    redirect_uris: [...options.redirectUris],
    post_logout_redirect_uris: [...options.postLogoutRedirectUris],
    response_types: code ? ['code'] : [],
    grant_types: grants,
    scope: options.scopes.join(' '),
    id_token_signed_response_alg: algorithm as 'ES256',
    // RFC 8252 §7.3: loopback redirects are for installed applications.
    application_type: native ? 'native' : 'web',
  };
}

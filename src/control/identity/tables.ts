/**
 * The tables of the identity service as types; migrations.ts makes them. The same in SQLite and PostgreSQL: times
 * are milliseconds since 1970, lists and objects are JSON text, hashes and sealed values are text. Nothing here can
 * be used to sign in by somebody who reads the database: tokens and codes are hashed, keys are sealed.
 */

export interface UserTable {
  id: string;
  kind: 'user' | 'child' | 'service';
  /** Lower case; null for children and services. */
  email: string | null;
  email_verified_at: number | null;
  username: string | null;
  /** Lower case; unique. */
  username_key: string | null;
  display_name: string | null;
  /** PHC string of argon2id; null when the account has no password. */
  password_hash: string | null;
  password_changed_at: number | null;
  status: 'active' | 'disabled';
  disabled_reason: string | null;
  plan: string;
  /** `YYYY-MM-DD`. */
  birth_date: string | null;
  parent_id: string | null;
  /** JSON of `ChildRules`; null unless `kind` is `child`. */
  child_rules: string | null;
  created_at: number;
  updated_at: number;
  last_login_at: number | null;
  /** Of its emails, such as `de`; null: nobody said. */
  language: string | null;
}

export interface SessionTable {
  id: string;
  user_id: string;
  created_at: number;
  last_seen_at: number;
  expires_at: number;
  revoked_at: number | null;
  revoke_reason: string | null;
  address: string;
  user_agent: string;
  /** In words; null when nothing is known. */
  place: string | null;
  /** JSON list of RFC 8176 values. */
  amr: string;
  auth_at: number;
  mfa_at: number | null;
  /** JSON list of scopes the session is narrowed to; null for all that the account has. */
  scopes: string | null;
  /** Who acts, when an administrator impersonates. */
  actor_id: string | null;
}

export interface RefreshTokenTable {
  hash: string;
  session_id: string;
  created_at: number;
  expires_at: number;
  used_at: number | null;
  /** The token that its use made, sealed with a key of the token itself. */
  successor: string | null;
}

export interface SigningKeyTable {
  kid: string;
  /** Counts up; unique per algorithm, so that two processes that rotate at once make one key. */
  generation: number;
  algorithm: string;
  public_jwk: string;
  sealed_jwk: string;
  created_at: number;
  /** Signs from here. */
  use_from: number;
  /** Leaves the published set here. */
  drop_at: number;
}

export interface ApiKeyTable {
  id: string;
  user_id: string;
  name: string;
  hash: string;
  scopes: string;
  /** JSON list; none unless they were asked for. */
  roles: string;
  plan: string | null;
  addresses: string;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
  revoked_at: number | null;
}

export interface OneTimeCodeTable {
  hash: string;
  purpose: string;
  user_id: string | null;
  sealed: string | null;
  attempts: number;
  created_at: number;
  expires_at: number;
  used_at: number | null;
}

export interface TotpTable {
  user_id: string;
  sealed_secret: string;
  created_at: number;
  confirmed_at: number | null;
  /** The last time step that was accepted; a code of it or an earlier one is a replay (RFC 6238 §5.2). */
  last_step: number;
}

export interface RecoveryCodeTable {
  hash: string;
  user_id: string;
  used_at: number | null;
}

export interface PasskeyTable {
  id: string;
  user_id: string;
  public_key: string;
  counter: number;
  transports: string;
  name: string;
  created_at: number;
  last_used_at: number | null;
}

export interface GuardTable {
  key: string;
  failures: number;
  first_at: number;
  last_at: number;
  locked_until: number;
}

export interface IssuedTokenTable {
  jti: string;
  subject: string;
  created_by: string;
  created_at: number;
  expires_at: number;
  revoked_at: number | null;
}

export interface RevocationTable {
  kind: 'sid' | 'jti' | 'key';
  value: string;
  at: number;
  expires_at: number;
}

export interface OutboxTable {
  id: string;
  sealed: string;
  created_at: number;
  attempts: number;
  next_at: number;
}

export interface LinkedAccountTable {
  provider: string;
  subject: string;
  user_id: string;
  email: string | null;
  created_at: number;
}

export interface AuditTable {
  seq: number;
  at: number;
  actor: string;
  action: string;
  target: string;
  address: string;
  request_id: string;
  detail: string;
  mac: string;
}

export interface OidcTable {
  model: string;
  hash: string;
  sealed: string;
  grant_hash: string | null;
  uid_hash: string | null;
  user_code_hash: string | null;
  account_id: string | null;
  client_id: string | null;
  expires_at: number | null;
  consumed_at: number | null;
}

export interface OauthClientTable {
  id: string;
  /** Its settings with its secret, as JSON. */
  sealed: string;
  /** JSON list: what the provider must know before it knows the application. */
  scopes: string;
  created_by: string;
  created_at: number;
  updated_at: number;
}

export interface IdentityTables {
  users: UserTable;
  user_roles: { user_id: string; role: string };
  roles: { name: string; scopes: string; description: string; updated_at: number };
  sessions: SessionTable;
  refresh_tokens: RefreshTokenTable;
  signing_keys: SigningKeyTable;
  api_keys: ApiKeyTable;
  one_time_codes: OneTimeCodeTable;
  mfa_totp: TotpTable;
  recovery_codes: RecoveryCodeTable;
  passkeys: PasskeyTable;
  guards: GuardTable;
  issued_tokens: IssuedTokenTable;
  revocations: RevocationTable;
  mail_outbox: OutboxTable;
  linked_accounts: LinkedAccountTable;
  audit_log: AuditTable;
  audit_head: { id: number; seq: number; mac: string };
  oidc_models: OidcTable;
  oauth_clients: OauthClientTable;
  identity_meta: { name: string; value: string };
}

export type User = UserTable;
export type Session = SessionTable;

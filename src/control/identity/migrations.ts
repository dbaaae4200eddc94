/**
 * The schema of the identity service, as migrations that run once each (store/migrate.ts). A released migration never
 * changes; a new need is a new entry. One plain SQL text serves both databases.
 */
import { sql, type Transaction } from 'kysely';
import type { Migration } from '../store/migrate.ts';

const ACCOUNTS = `
create table users (
  id text primary key, kind text not null, email text unique, email_verified_at bigint,
  username text, username_key text unique, display_name text,
  password_hash text, password_changed_at bigint,
  status text not null, disabled_reason text, plan text not null, birth_date text,
  parent_id text references users (id) on delete cascade, child_rules text,
  created_at bigint not null, updated_at bigint not null, last_login_at bigint);
create index users_by_parent on users (parent_id);
create table user_roles (
  user_id text not null references users (id) on delete cascade, role text not null, primary key (user_id, role));
create index user_roles_by_role on user_roles (role);
create table roles (name text primary key, scopes text not null, description text not null, updated_at bigint not null);
create table sessions (
  id text primary key, user_id text not null references users (id) on delete cascade,
  created_at bigint not null, last_seen_at bigint not null, expires_at bigint not null,
  revoked_at bigint, revoke_reason text, address text not null, user_agent text not null,
  amr text not null, auth_at bigint not null, mfa_at bigint, scopes text, actor_id text);
create index sessions_by_user on sessions (user_id);
create index sessions_by_expiry on sessions (expires_at);
create table refresh_tokens (
  hash text primary key, session_id text not null references sessions (id) on delete cascade,
  created_at bigint not null, expires_at bigint not null, used_at bigint);
create index refresh_tokens_by_session on refresh_tokens (session_id);
create index refresh_tokens_by_expiry on refresh_tokens (expires_at);
create table one_time_codes (
  hash text primary key, purpose text not null, user_id text references users (id) on delete cascade,
  sealed text, attempts bigint not null, created_at bigint not null, expires_at bigint not null, used_at bigint);
create index one_time_codes_by_user on one_time_codes (user_id, purpose);
create index one_time_codes_by_expiry on one_time_codes (expires_at);
create table guards (
  key text primary key, failures bigint not null, first_at bigint not null, last_at bigint not null,
  locked_until bigint not null);
create index guards_by_last on guards (last_at);
create table mail_outbox (
  id text primary key, sealed text not null, created_at bigint not null, attempts bigint not null,
  next_at bigint not null);
create index mail_outbox_by_next on mail_outbox (next_at);
create table identity_meta (name text primary key, value text not null)`;

const KEYS = `
create table signing_keys (
  kid text primary key, generation bigint not null, algorithm text not null, public_jwk text not null,
  sealed_jwk text not null, created_at bigint not null, use_from bigint not null, drop_at bigint not null,
  unique (algorithm, generation));
create table api_keys (
  id text primary key, user_id text not null references users (id) on delete cascade, name text not null,
  hash text not null, scopes text not null, plan text, addresses text not null, created_at bigint not null,
  expires_at bigint, last_used_at bigint, revoked_at bigint);
create index api_keys_by_user on api_keys (user_id);
create table issued_tokens (
  jti text primary key, subject text not null, created_by text not null, created_at bigint not null,
  expires_at bigint not null, revoked_at bigint);
create index issued_tokens_by_subject on issued_tokens (subject);
create table revocations (
  kind text not null, value text not null, at bigint not null, expires_at bigint not null, primary key (kind, value));
create index revocations_by_at on revocations (at);
create index revocations_by_expiry on revocations (expires_at)`;

const FACTORS = `
create table mfa_totp (
  user_id text primary key references users (id) on delete cascade, sealed_secret text not null,
  created_at bigint not null, confirmed_at bigint, last_step bigint not null);
create table recovery_codes (
  hash text primary key, user_id text not null references users (id) on delete cascade, used_at bigint);
create index recovery_codes_by_user on recovery_codes (user_id);
create table passkeys (
  id text primary key, user_id text not null references users (id) on delete cascade, public_key text not null,
  counter bigint not null, transports text not null, name text not null, created_at bigint not null,
  last_used_at bigint);
create index passkeys_by_user on passkeys (user_id)`;

const OAUTH = `
create table linked_accounts (
  provider text not null, subject text not null, user_id text not null references users (id) on delete cascade,
  email text, created_at bigint not null, primary key (provider, subject));
create index linked_accounts_by_user on linked_accounts (user_id);
create table oidc_models (
  model text not null, hash text not null, sealed text not null, grant_hash text, uid_hash text, user_code_hash text,
  account_id text, expires_at bigint, consumed_at bigint, primary key (model, hash));
create index oidc_models_by_grant on oidc_models (grant_hash);
create index oidc_models_by_uid on oidc_models (uid_hash);
create index oidc_models_by_user_code on oidc_models (user_code_hash);
create index oidc_models_by_account on oidc_models (account_id);
create index oidc_models_by_expiry on oidc_models (expires_at)`;

const AUDIT = `
create table audit_log (
  seq bigint primary key, at bigint not null, actor text not null, action text not null, target text not null,
  address text not null, request_id text not null, detail text not null, mac text not null);
create index audit_log_by_at on audit_log (at);
create index audit_log_by_actor on audit_log (actor, seq);
create index audit_log_by_target on audit_log (target, seq);
create table audit_head (id bigint primary key, seq bigint not null, mac text not null);
insert into audit_head (id, seq, mac) values (1, 0, '')`;

/** Tokens and grants are found by their application, so that they end with it. */
const CLIENTS = `
create table oauth_clients (
  id text primary key, sealed text not null, scopes text not null, created_by text not null,
  created_at bigint not null, updated_at bigint not null);
alter table oidc_models add column client_id text;
create index oidc_models_by_client on oidc_models (client_id)`;

/** The log only grows: the database itself refuses to change or remove an entry. */
const AUDIT_SQLITE = [
  `create trigger audit_log_no_update before update on audit_log begin select raise(abort, 'the audit log only grows'); end`,
  `create trigger audit_log_no_delete before delete on audit_log begin select raise(abort, 'the audit log only grows'); end`,
];
const AUDIT_POSTGRES = [
  `create function audit_log_refuse() returns trigger language plpgsql as
   $$ begin raise exception 'the audit log only grows'; end $$`,
  `create trigger audit_log_only_grows before update or delete or truncate on audit_log
   for each statement execute function audit_log_refuse()`,
];

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no table types
async function run(trx: Transaction<any>, text: string): Promise<void> {
  for (const statement of text.split(';')) {
    if (statement.trim() !== '') await sql.raw(statement).execute(trx);
  }
}

export const IDENTITY_MIGRATIONS: readonly Migration[] = [
  { id: '0001-accounts', up: (trx) => run(trx, ACCOUNTS) },
  { id: '0002-keys', up: (trx) => run(trx, KEYS) },
  { id: '0003-factors', up: (trx) => run(trx, FACTORS) },
  { id: '0004-oauth', up: (trx) => run(trx, OAUTH) },
  {
    id: '0005-audit',
    up: async (trx, dialect) => {
      await run(trx, AUDIT);
      for (const text of dialect === 'sqlite' ? AUDIT_SQLITE : AUDIT_POSTGRES) await sql.raw(text).execute(trx);
    },
  },
  { id: '0006-oauth-clients', up: (trx) => run(trx, CLIENTS) },
  { id: '0007-places', up: (trx) => run(trx, 'alter table sessions add column place text') },
  { id: '0008-key-roles', up: (trx) => run(trx, `alter table api_keys add column roles text not null default '[]'`) },
  { id: '0009-refresh-successor', up: (trx) => run(trx, 'alter table refresh_tokens add column successor text') },
  { id: '0010-languages', up: (trx) => run(trx, 'alter table users add column language text') },
];

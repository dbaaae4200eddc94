/**
 * Is this API key good, and whose is it? Answers the workers' question on topic `identity:api-key`. One indexed read,
 * then the state of the owner as it is now: a disabled account's keys are dead (docs/identity-rules.md, 8), a key has
 * no scope that its owner lost. Last use is kept in memory and written in batches.
 */
import { timingSafeEqual } from 'node:crypto';
import { CidrSet, canonicalAddress } from '../../../base/ip.ts';
import { accessOf } from '../accounts/access.ts';
import { findById, findByLogin } from '../accounts/users.ts';
import type { IdentityContext } from '../context.ts';
import { hashOfKey, idOfKey } from './format.ts';

export interface ApiKeyQuestion {
  readonly key: string;
  readonly address: string;
}

export interface ApiKeyIdentity {
  readonly keyId: string;
  readonly subject: string;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly plan: string | null;
  readonly claims: Readonly<Record<string, unknown>>;
  /** Milliseconds since 1970, or null when the key does not expire. */
  readonly expiresAt: number | null;
}

const MAX_KEY_LENGTH = 512;

export class ApiKeyVerifier {
  readonly #context: IdentityContext;
  readonly #lastUse = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(context: IdentityContext) {
    this.#context = context;
  }

  /** Null for every key that does not work, without saying why. Rejects only when the database is away. */
  async verify(question: ApiKeyQuestion): Promise<ApiKeyIdentity | null> {
    const { key, address } = question;
    if (typeof key !== 'string' || key.length > MAX_KEY_LENGTH) return null;
    const id = idOfKey(key);
    return id === undefined ? await this.#fromEnvironment(key) : await this.#fromDatabase(id, key, address);
  }

  async #fromDatabase(id: string, key: string, address: string): Promise<ApiKeyIdentity | null> {
    const { store, clock } = this.#context;
    const row = await store.db.selectFrom('api_keys').selectAll().where('id', '=', id).executeTakeFirst();
    if (row === undefined || !timingSafeEqual(Buffer.from(hashOfKey(key)), Buffer.from(row.hash))) return null;
    const now = clock.wallMs();
    const refuse = (event: string): null => {
      this.#context.tellSecurity(event, { key: id, subject: row.user_id, address });
      return null;
    };
    if (row.revoked_at !== null) return refuse('key.used-after-revocation');
    if (row.expires_at !== null && row.expires_at <= now) return refuse('key.used-after-expiry');
    const addresses = JSON.parse(row.addresses) as string[];
    if (addresses.length > 0 && !new CidrSet(addresses).has(canonicalAddress(address) ?? '0.0.0.0'))
      return refuse('key.used-from-elsewhere');
    const user = await findById(store.db, row.user_id);
    const access = user === undefined ? undefined : await accessOf(this.#context, store.db, user);
    if (access === undefined || access.allowedUntil === undefined) return null;
    this.#lastUse.set(id, now);
    const scopes = (JSON.parse(row.scopes) as string[]).filter((scope) => access.scopes.includes(scope));
    const until = Math.min(row.expires_at ?? Number.POSITIVE_INFINITY, access.allowedUntil);
    return {
      keyId: id,
      subject: row.user_id,
      roles: (JSON.parse(row.roles) as string[]).filter((role) => access.roles.includes(role)),
      scopes,
      plan: row.plan ?? access.plan,
      claims: { sub: row.user_id, key_id: id, ...(access.parentId === null ? {} : { par: access.parentId }) },
      expiresAt: Number.isFinite(until) ? until : null,
    };
  }

  async #fromEnvironment(key: string): Promise<ApiKeyIdentity | null> {
    const found = this.#context.environmentKeys.get(hashOfKey(key));
    if (found === undefined) return null;
    // The user of such a key need not have an account; when there is one, its state counts.
    const { db } = this.#context.store;
    const user = (await findById(db, found.subject)) ?? (await findByLogin(db, found.subject));
    if (user !== undefined && user.status !== 'active') return null;
    const { id, subject, scopes, plan } = found;
    return { keyId: id, subject, roles: [], scopes, plan, claims: { sub: subject, key_id: id }, expiresAt: null };
  }

  start(everyMs = 10_000): void {
    this.#timer ??= setInterval(() => void this.flush(), everyMs).unref();
  }

  /** Writes last uses; what cannot be written now is written later or, at the end, lost. Never throws. */
  async flush(): Promise<void> {
    const uses = [...this.#lastUse];
    this.#lastUse.clear();
    try {
      for (const [id, at] of uses) {
        await this.#context.store.db.updateTable('api_keys').set({ last_used_at: at }).where('id', '=', id).execute();
      }
    } catch {
      for (const [id, at] of uses) if (!this.#lastUse.has(id)) this.#lastUse.set(id, at);
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.flush();
  }
}

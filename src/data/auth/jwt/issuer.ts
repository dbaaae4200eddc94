/**
 * One issuer as a worker lives by it: its rules from the configuration and its keys as last published. Rebuilt keys
 * say whether tokens verified earlier may still count. Owner: one JwtVerifier.
 */

import type { ClaimRules, IssuerSettings } from '../../contract/auth.ts';
import type { Secrets } from '../../contract/snapshot.ts';
import type { KeyStore } from './key-store.ts';
import { KeySet, secretVerifyKey } from './verify-key.ts';

/** No slash and no dot segment: a tenant is one part of a path. */
const TENANT = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?$/;
const NEVER = Number.POSITIVE_INFINITY;

export class Issuer {
  readonly settings: IssuerSettings;
  /** Value of `iss`; for the identity service it comes with its keys. */
  iss: string | null;
  rules: ClaimRules;
  /** Null while no keys have come. */
  keys: KeySet | null = null;
  keysExpireAtMs = NEVER;
  #fingerprint = '';

  constructor(settings: IssuerSettings, secrets: Secrets) {
    this.settings = settings;
    this.iss = settings.issuer;
    this.rules = settings;
    const source = settings.keys;
    if (source.kind === 'inline') this.keys = KeySet.ofJwks(source.keys, settings.algorithms, 'configuration');
    if (source.kind === 'secret') {
      const secret = secrets[source.secret];
      if (secret === undefined) throw new TypeError(`issuer ${settings.name}: there is no secret ${source.secret}`);
      this.keys = new KeySet([secretVerifyKey(secret, source.kid, settings.algorithms)], 'configuration');
    }
  }

  /** Exact match (RFC 7519 §4.1.1), or that of a template with the very claim that the token is bound to. */
  takes(iss: string | null, claims: Readonly<Record<string, unknown>>): boolean {
    const { template } = this.settings;
    if (iss === null) return false;
    if (template === undefined) return this.iss === iss;
    const tenant = Object.hasOwn(claims, template.claim) ? claims[template.claim] : undefined;
    if (typeof tenant !== 'string' || !TENANT.test(tenant)) return false;
    if (iss !== template.before + tenant + template.after) return false;
    return template.tenants === null || template.tenants.includes(tenant);
  }

  /** Id under which control fetches the keys, or null. */
  get publishedId(): string | null {
    return this.settings.keys.kind === 'published' ? this.settings.keys.id : null;
  }

  /** Takes over what the store has. True when tokens of this issuer must be verified anew. */
  refresh(store: KeyStore): boolean {
    const source = this.settings.keys;
    if (source.kind === 'identity') {
      const message = store.identity;
      if (!this.#isNews(message)) return false;
      this.iss = message?.issuer ?? this.settings.issuer;
      this.keys = message === null ? null : KeySet.ofJwks(message.jwks.keys, this.settings.algorithms, 'identity');
      const audience = message?.audience;
      const own = audience === undefined ? null : typeof audience === 'string' ? [audience] : audience;
      this.rules = { ...this.settings, audiences: this.settings.audiences ?? own };
      return true;
    }
    if (source.kind === 'published') {
      const published = Object.hasOwn(store.published, source.id) ? store.published[source.id] : undefined;
      this.keysExpireAtMs = published?.expiresAtMs ?? NEVER;
      if (!this.#isNews(published?.keys ?? null)) return false;
      this.keys = published === undefined ? null : KeySet.ofJwks(published.keys, this.settings.algorithms, 'published');
      return true;
    }
    return false;
  }

  /** A refresh in the background mostly brings the same keys again, and then nothing needs to be dropped. */
  #isNews(data: unknown): boolean {
    const fingerprint = JSON.stringify(data);
    if (fingerprint === this.#fingerprint) return false;
    this.#fingerprint = fingerprint;
    return true;
  }
}

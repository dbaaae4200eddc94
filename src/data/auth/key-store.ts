/**
 * The published keys that a worker knows, raw, by where they come from: the built-in identity service (topic
 * `identity:keys`) and outside issuers (topic `auth:jwks`, fetched by control/auth/jwks-fetcher.ts). Verifiers make
 * their own key sets of them, because which algorithms count is theirs to say. Owner: one worker, for its life.
 */
import type { ControlLink } from '../contract/policy.ts';
import type { Jwk } from './verify-key.ts';

/** Topic `identity:keys`. */
export interface IdentityKeysMessage {
  readonly issuer: string;
  readonly jwks: { readonly keys: readonly Jwk[] };
  readonly audience?: string | readonly string[];
}

/** Topic `auth:jwks`: all outside issuers by id; an issuer whose keys never came, or are too old, is absent. */
export type PublishedKeysMessage = Readonly<Record<string, PublishedKeys>>;

export interface PublishedKeys {
  readonly keys: readonly Jwk[];
  /** Wall time until which the keys count when the issuer stays out of reach. */
  readonly expiresAtMs: number;
}

/** Topic of the question "fetch again, a token names a key that we do not have"; answered when that is done. */
export const REFRESH_TOPIC = 'auth:jwks-refresh';
export interface RefreshQuestion {
  readonly id: string;
  readonly kid: string;
}

type Listener = () => void;

export class KeyStore {
  identity: IdentityKeysMessage | null = null;
  published: PublishedKeysMessage = {};
  readonly #listeners = new Set<Listener>();

  constructor(control: ControlLink) {
    control.subscribe('identity:keys', (data) => {
      this.identity = isIdentityKeys(data) ? data : null;
      this.#changed();
    });
    control.subscribe('auth:jwks', (data) => {
      this.published = typeof data === 'object' && data !== null ? (data as PublishedKeysMessage) : {};
      this.#changed();
    });
  }

  /** Calls back after each change; returns the way out. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

function isIdentityKeys(data: unknown): data is IdentityKeysMessage {
  if (typeof data !== 'object' || data === null) return false;
  const { issuer, jwks } = data as { issuer?: unknown; jwks?: { keys?: unknown } };
  return typeof issuer === 'string' && Array.isArray(jwks?.keys);
}

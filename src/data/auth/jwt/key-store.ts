/**
 * The published keys that a worker knows, raw, by where they come from: the built-in identity service (topic
 * `identity:keys`) and outside issuers (topic `auth:jwks`, fetched by control/auth/jwks-fetcher.ts). Verifiers make
 * their own key sets of them, because which algorithms count is theirs to say. Owner: one worker, for its life.
 */
import type { IdentityKeysMessage, PublishedKeysMessage } from '../../contract/auth.ts';
import type { ControlLink } from '../../contract/policy.ts';

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

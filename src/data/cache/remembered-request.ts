/**
 * What makes keys and decides about storing, written down: for a fetch that outlives its request, whose memory is used
 * for the next one.
 */
import type { CacheSettings } from '../contract/cache.ts';
import type { Identity } from '../contract/policy.ts';
import type { FillRequest } from './fill-recorder.ts';
import type { KeyRequest } from './keys.ts';

export class RememberedRequest implements FillRequest {
  readonly method = 'GET';
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
  readonly query: string;
  readonly identity: Identity | null;
  readonly #headers = new Map<string, string | null>();
  readonly #cookies = new Map<string, string | null>();

  /** `vary`: names of fields, beside those of the settings. */
  constructor(request: KeyRequest, { key }: CacheSettings, vary: readonly string[] | null) {
    this.scheme = request.scheme;
    this.authority = request.authority;
    this.path = request.path;
    this.query = request.query;
    this.identity = request.identity;
    for (const name of ['authorization', ...key.headers, ...(vary ?? [])])
      this.#headers.set(name, request.header(name));
    for (const name of key.cookies) this.#cookies.set(name, request.cookie(name));
  }

  knows(name: string): boolean {
    return this.#headers.has(name);
  }

  header(name: string): string | null {
    return this.#headers.get(name) ?? null;
  }

  cookie(name: string): string | null {
    return this.#cookies.get(name) ?? null;
  }
}

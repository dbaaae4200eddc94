/**
 * What makes keys and decides about storing, written down: for a fetch that outlives its request, whose memory is used
 * for the next one.
 */
import type { CacheSettings } from '../contract/cache.ts';
import type { Identity } from '../contract/policy.ts';
import type { FillRequest } from './fill-recorder.ts';
import { ELSEWHERE, type KeyRequest } from './keys.ts';

export class RememberedRequest implements FillRequest {
  readonly method = 'GET';
  readonly callerScheme: string;
  readonly authority: string;
  readonly path: string;
  readonly query: string;
  readonly elsewhere: string | null;
  readonly identity: Identity | null;
  readonly #headers = new Map<string, string | null>();
  readonly #sent = new Map<string, string | null>();
  readonly #cookies = new Map<string, string | null>();

  /** `vary`: names of fields, beside those of the settings. */
  constructor(request: KeyRequest, { key }: CacheSettings, vary: readonly string[] | null) {
    this.callerScheme = request.callerScheme;
    this.authority = request.authority;
    this.path = request.path;
    this.query = request.query;
    this.elsewhere = request.elsewhere;
    this.identity = request.identity;
    for (const name of ['authorization', ...key.headers, ...(vary ?? [])]) {
      this.#headers.set(name, request.header(name));
      this.#sent.set(name, request.sentUpstream(name));
    }
    for (const name of key.cookies) this.#cookies.set(name, request.cookie(name));
  }

  knows(name: string): boolean {
    return name === ELSEWHERE || this.#headers.has(name);
  }

  header(name: string): string | null {
    return this.#headers.get(name) ?? null;
  }

  sentUpstream(name: string): string | null {
    return this.#sent.get(name) ?? null;
  }

  cookie(name: string): string | null {
    return this.#cookies.get(name) ?? null;
  }
}

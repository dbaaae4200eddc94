/**
 * Bearer tokens (RFC 6750): JWTs judged here, opaque tokens by introspection. Where both are configured, a JWT of a
 * known issuer is judged by its keys and everything else is asked for. The cached path, almost every request, is one
 * Map hit and two comparisons (front-cache.ts).
 */
import type { Clock } from '../../../base/clock.ts';
import { REFRESH_TOPIC, type RefreshQuestion, type TokenSource } from '../../contract/auth.ts';
import type { ControlLink, PolicyContext } from '../../contract/policy.ts';
import type { Issuer } from '../jwt/issuer.ts';
import { type JwtVerifier, NeedsKeys, type VerifiedToken } from '../jwt/jwt-verifier.ts';
import { TokenByteIndex } from '../jwt/token-byte-index.ts';
import { cookieMayAct, TokenFinder } from '../jwt/token-source.ts';
import { plainFingerprint } from './certificate.ts';
import type { Introspector } from './introspector.ts';
import { type AuthMethod, Unavailable, type Verdict } from './method.ts';

/** How long a request waits for keys to be fetched anew. */
const REFRESH_TIMEOUT_MS = 5_000;
/**
 * Least time between two questions for new keys of one issuer. It bounds what invented key ids cost this worker; what
 * they cost the issuer is bounded by control's own cool-down, for all workers together.
 */
const REFRESH_COOLDOWN_MS = 1_000;

interface Refreshing {
  promise: Promise<boolean> | null;
  notBeforeMs: number;
}

export class BearerMethod implements AuthMethod {
  readonly #finder: TokenFinder;
  readonly #verifier: JwtVerifier | null;
  readonly #front: TokenByteIndex<VerifiedToken> | null;
  readonly #introspector: Introspector | null;
  readonly #control: ControlLink;
  readonly #clock: Clock;
  readonly #hasCookies: boolean;
  readonly #refreshing = new WeakMap<Issuer, Refreshing>();

  constructor(
    sources: readonly TokenSource[],
    verifier: JwtVerifier | null,
    introspector: Introspector | null,
    control: ControlLink,
    clock: Clock,
  ) {
    this.#finder = new TokenFinder(sources);
    this.#verifier = verifier;
    this.#front =
      verifier !== null && this.#finder.isSingle ? new TokenByteIndex(verifier.cache, verifier.cacheEntries) : null;
    this.#introspector = introspector;
    this.#control = control;
    this.#clock = clock;
    this.#hasCookies = sources.some((source) => source.in === 'cookie');
  }

  authenticate(exchange: PolicyContext): Verdict | Promise<Verdict> {
    const { nowMs } = exchange;
    const wallMs = nowMs === undefined ? this.#clock.wallMs() : this.#clock.wallAt(nowMs);
    const front = this.#front?.get(exchange, wallMs);
    if (front !== undefined) return this.#admit(exchange, front, 0);
    const text = this.#finder.find(exchange);
    if (text === null) return null;
    const sourceIndex = this.#finder.lastIndex;
    const known = this.#verifier?.cache.get(text, wallMs);
    if (known !== undefined) {
      this.#front?.remember(exchange, known);
      return this.#admit(exchange, known, sourceIndex);
    }
    const token = this.#finder.bareToken(text, sourceIndex);
    if (token === null) return null;
    if (token === '') return 'malformed';
    return this.#judge(exchange, token, text, sourceIndex, true);
  }

  hide(exchange: PolicyContext): void {
    this.#finder.hide(exchange);
  }

  /** RFC 6750 §3: no error code when no token was sent. */
  challenge(realm: string, refused: boolean): string {
    return refused ? `Bearer realm="${realm}", error="invalid_token"` : `Bearer realm="${realm}"`;
  }

  #judge(
    exchange: PolicyContext,
    token: string,
    text: string,
    sourceIndex: number,
    mayRefresh: boolean,
  ): Verdict | Promise<Verdict> {
    const result = this.#verifier === null ? 'malformed' : this.#verifier.verify(token, text);
    if (typeof result === 'string') {
      // Not a JWT, or not of an issuer that we know: its issuer may know it. A known issuer's bad token stays bad.
      const foreign = result === 'malformed' || result === 'unknown_issuer';
      if (this.#introspector === null || !foreign) return result;
      if (!this.#cookieIsSafe(exchange, sourceIndex)) return 'cross_site';
      return this.#introspector.judge(token);
    }
    if (!(result instanceof NeedsKeys)) return this.#admit(exchange, result, sourceIndex);
    if (!mayRefresh) return this.#withoutKeys(result);
    const refreshed = this.#refresh(result);
    if (refreshed === null) return this.#withoutKeys(result);
    return refreshed.then(() => this.#judge(exchange, token, text, sourceIndex, false));
  }

  /** Never had a key of the issuer: nobody can say. Have some, but not this one: the token is refused. */
  #withoutKeys({ issuer }: NeedsKeys): Verdict {
    if (issuer.keys === null || this.#clock.wallMs() >= issuer.keysExpireAtMs) {
      return new Unavailable(`no keys of issuer ${issuer.settings.name}`);
    }
    return 'unknown_key';
  }

  /** Asks control to fetch keys anew, once for all requests that wait; null during the cool-down. */
  #refresh({ issuer, kid }: NeedsKeys): Promise<boolean> | null {
    const id = issuer.publishedId;
    if (id === null) return null;
    let state = this.#refreshing.get(issuer);
    if (state === undefined) {
      state = { promise: null, notBeforeMs: Number.NEGATIVE_INFINITY };
      this.#refreshing.set(issuer, state);
    }
    if (state.promise !== null) return state.promise;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < state.notBeforeMs) return null;
    state.notBeforeMs = nowMs + REFRESH_COOLDOWN_MS;
    const asked = state;
    asked.promise = this.#control
      .ask(REFRESH_TOPIC, { id, kid } satisfies RefreshQuestion, REFRESH_TIMEOUT_MS)
      .then(
        () => true,
        // The fetcher logs why; here the keys that there are decide.
        () => false,
      )
      .finally(() => {
        asked.promise = null;
      });
    return asked.promise;
  }

  #admit(exchange: PolicyContext, token: VerifiedToken, sourceIndex: number): Verdict {
    if (token.certificate !== null && !holdsCertificate(exchange, token.certificate)) return 'wrong_binding';
    if (this.#hasCookies && !this.#cookieIsSafe(exchange, sourceIndex)) return 'cross_site';
    return token.identity;
  }

  #cookieIsSafe(exchange: PolicyContext, sourceIndex: number): boolean {
    const source = this.#finder.sources[sourceIndex];
    return source?.in !== 'cookie' || cookieMayAct(exchange, source.trustedSites);
  }
}

/** RFC 8705 §3: a bound token counts only on a connection that proved the certificate. */
function holdsCertificate(exchange: PolicyContext, fingerprint: string): boolean {
  const certificate = exchange.clientCertificate;
  return certificate !== null && plainFingerprint(certificate.fingerprint256) === fingerprint;
}

/**
 * Bearer tokens (RFC 6750): JWTs judged here, opaque tokens by introspection. Where both are configured, a JWT of a
 * known issuer is judged by its keys and everything else is asked for. The cached path, almost every request, is one
 * Map hit and two comparisons (jwt/token-byte-index.ts).
 */
import { timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../../base/clock.ts';
import { REFRESH_TOPIC, type RefreshQuestion, type TokenSource } from '../../contract/auth.ts';
import { CSRF_CLAIM, CSRF_FIELD } from '../../contract/browser-session.ts';
import type { ControlLink, PolicyContext } from '../../contract/policy.ts';
import type { Issuer } from '../jwt/issuer.ts';
import { type JwtVerifier, NeedsKeys, type VerifiedToken } from '../jwt/jwt-verifier.ts';
import { TokenByteIndex } from '../jwt/token-byte-index.ts';
import { cookieMayAct, isSafeMethod, TokenFinder } from '../jwt/token-source.ts';
import { plainFingerprint } from './certificate.ts';
import type { Introspector } from './introspector.ts';
import { type AuthMethod, Unavailable, type Verdict } from './method.ts';

/** How long a request waits for keys to be fetched anew. */
const REFRESH_TIMEOUT_MS = 5_000;
/** How long this worker remembers that a key id does not exist, and how many: it bounds what invented ones cost. */
const ABSENT_MS = 10_000;
const MOST_ABSENT = 256;
/** Key ids in question at once; for more the answer is to come back. */
const MOST_ASKED = 64;

/** By issuer: what is asked, and until when a key id is known not to exist. */
interface Refreshing {
  /** Questions under way, by key id: the answer about one says nothing of another. */
  readonly asked: Map<string, Promise<boolean>>;
  readonly absent: Map<string, number>;
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
    return this.#judge(exchange, token, text, sourceIndex, null);
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
    /** Null: keys were not asked for yet. Otherwise whether those that there are are as new as the question. */
    isFresh: boolean | null,
  ): Verdict | Promise<Verdict> {
    const result = this.#verifier === null ? 'malformed' : this.#verifier.verify(token, text);
    if (typeof result === 'string') {
      // Not a JWT, or not of an issuer that we know: its issuer may know it. A known issuer's bad token stays bad.
      const foreign = result === 'malformed' || result === 'unknown_issuer';
      if (this.#introspector === null || !foreign) return result;
      if (!this.#cookieIsSafe(exchange, sourceIndex)) return 'cross_site';
      return this.#introspector.judge(token, exchange);
    }
    if (!(result instanceof NeedsKeys)) return this.#admit(exchange, result, sourceIndex);
    if (isFresh !== null) return this.#withoutKeys(result, isFresh);
    const refreshed = this.#refresh(result);
    if (typeof refreshed === 'boolean') return this.#withoutKeys(result, refreshed);
    return refreshed.then((fresh) => this.#judge(exchange, token, text, sourceIndex, fresh));
  }

  /**
   * The newest keys are here and this one is not among them: the token is refused. Otherwise it is unknown: the issuer
   * may have rotated its keys, and a token of the new one must not be called bad.
   */
  #withoutKeys({ issuer, kid }: NeedsKeys, isFresh: boolean): Verdict {
    const hasKeys = issuer.keys !== null && this.#clock.wallMs() < issuer.keysExpireAtMs;
    if (!hasKeys || !isFresh) return new Unavailable(`no keys of issuer ${issuer.settings.name}`);
    this.#noteAbsent(this.#stateOf(issuer).absent, kid);
    return 'unknown_key';
  }

  #noteAbsent(absent: Map<string, number>, kid: string): void {
    absent.delete(kid);
    absent.set(kid, this.#clock.monotonicMs() + ABSENT_MS);
    const oldest = absent.keys().next().value;
    if (absent.size > MOST_ABSENT && oldest !== undefined) absent.delete(oldest);
  }

  #stateOf(issuer: Issuer): Refreshing {
    let state = this.#refreshing.get(issuer);
    if (state === undefined) {
      state = { asked: new Map(), absent: new Map() };
      this.#refreshing.set(issuer, state);
    }
    return state;
  }

  /**
   * Asks control to fetch keys anew, once for all requests that wait; at once when it is known that there is no such
   * key.
   */
  #refresh({ issuer, kid }: NeedsKeys): boolean | Promise<boolean> {
    const id = issuer.publishedId;
    if (id === null) return false;
    const state = this.#stateOf(issuer);
    if ((state.absent.get(kid) ?? 0) > this.#clock.monotonicMs()) return true;
    const known = state.asked.get(kid);
    if (known !== undefined) return known;
    if (state.asked.size >= MOST_ASKED) return false;
    const asked = this.#control
      .ask(REFRESH_TOPIC, { id, kid } satisfies RefreshQuestion, REFRESH_TIMEOUT_MS)
      .then(
        (isFresh) => isFresh === true,
        // The fetcher logs why.
        () => false,
      )
      .finally(() => state.asked.delete(kid));
    state.asked.set(kid, asked);
    return asked;
  }

  #admit(exchange: PolicyContext, token: VerifiedToken, sourceIndex: number): Verdict {
    if (token.certificate !== null && !holdsCertificate(exchange, token.certificate)) return 'wrong_binding';
    if (this.#hasCookies && this.#finder.sources[sourceIndex]?.in === 'cookie') {
      if (!this.#cookieIsSafe(exchange, sourceIndex)) return 'cross_site';
      if (!hasCsrfToken(exchange, token)) return 'csrf_token';
    }
    return token.identity;
  }

  #cookieIsSafe(exchange: PolicyContext, sourceIndex: number): boolean {
    const source = this.#finder.sources[sourceIndex];
    return source?.in !== 'cookie' || cookieMayAct(exchange, source.trustedSites);
  }
}

/**
 * A session cookie of the identity service carries the token that its own pages know. A WebSocket cannot send a field;
 * that it comes from the own site is checked already.
 */
function hasCsrfToken(exchange: PolicyContext, { identity }: VerifiedToken): boolean {
  const wanted = identity.claims[CSRF_CLAIM];
  if (typeof wanted !== 'string' || isSafeMethod(exchange.method)) return true;
  const given = Buffer.from(exchange.header(CSRF_FIELD) ?? '');
  const expected = Buffer.from(wanted);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** RFC 8705 §3: a bound token counts only on a connection that proved the certificate. */
function holdsCertificate(exchange: PolicyContext, fingerprint: string): boolean {
  const certificate = exchange.clientCertificate;
  return certificate !== null && plainFingerprint(certificate.fingerprint256) === fingerprint;
}

/**
 * Judges opaque tokens by asking their issuer (RFC 7662), through control: topic `auth:introspect`. Control holds the
 * endpoint's password and its connections, so that workers carry neither, and answers of all workers' questions share
 * one pool; the two thread hops cost some 50 us beside a network round trip. Answers are cached for seconds only.
 * Owner: one worker.
 */
import type { Clock } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import { SingleFlight } from '../../../base/single-flight.ts';
import { INTROSPECT_TOPIC, type IntrospectQuestion, type IntrospectSettings } from '../../contract/auth.ts';
import type { ControlLink, Identity, PolicyContext } from '../../contract/policy.ts';
import { factsOfClaims, PreparedIdentity } from '../identity.ts';
import type { HeaderMaker } from '../identity-headers.ts';
import { TokenCache } from '../jwt/token-cache.ts';
import { type Refusal, Unavailable } from './method.ts';

/** Most different tokens that may be in question at once. */
const MOST_QUESTIONS = 256;

interface Judged {
  readonly verdict: Identity | Refusal;
  readonly validUntilMs: number;
}

export class Introspector {
  readonly cache: TokenCache<Judged>;
  readonly #settings: IntrospectSettings;
  readonly #control: ControlLink;
  readonly #clock: Clock;
  readonly #headers: HeaderMaker;
  readonly #flights = new SingleFlight<Identity | Refusal | Unavailable>(MOST_QUESTIONS);

  constructor(settings: IntrospectSettings, control: ControlLink, clock: Clock, headers: HeaderMaker) {
    this.#settings = settings;
    this.#control = control;
    this.#clock = clock;
    this.#headers = headers;
    this.cache = new TokenCache(clock, settings.cacheEntries, settings.cacheMs);
  }

  judge(
    token: string,
    exchange: PolicyContext,
  ): Identity | Refusal | Promise<Identity | Refusal | Unavailable> | Unavailable {
    // RFC 6750 §2.1: the characters of a bearer token; nothing else is worth a question.
    if (token.length > this.#settings.maxTokenBytes) return 'oversized';
    if (!/^[A-Za-z0-9._~+/-]+=*$/.test(token)) return 'malformed';
    const known = this.cache.get(token, this.#clock.wallMs());
    if (known !== undefined) return known.verdict;
    return (
      this.#flights.join(token, () => this.#ask(token, exchange)) ??
      new Unavailable('too many introspections under way')
    );
  }

  async #ask(token: string, exchange: PolicyContext): Promise<Identity | Refusal | Unavailable> {
    const { id, host, timeoutMs } = this.#settings;
    const traceparent = exchange.traceparentFor?.(host) ?? null;
    let answer: unknown;
    try {
      const question: IntrospectQuestion = { id, token, traceparent };
      answer = await this.#control.ask(INTROSPECT_TOPIC, question, timeoutMs);
    } catch (error) {
      return new Unavailable(`introspection: ${messageOf(error)}`);
    }
    const nowMs = this.#clock.wallMs();
    const verdict = this.#verdictOn(answer, nowMs);
    const exp = (answer as { readonly exp?: unknown } | null)?.exp;
    const expiresAtMs = typeof exp === 'number' && typeof verdict !== 'string' ? exp * 1_000 : Number.POSITIVE_INFINITY;
    this.cache.set(token, { verdict, validUntilMs: this.cache.validUntilMs(nowMs, expiresAtMs) });
    return verdict;
  }

  #verdictOn(answer: unknown, nowMs: number): Identity | Refusal {
    if (typeof answer !== 'object' || answer === null) return 'inactive';
    const claims = { ...(answer as Record<string, unknown>) };
    if (claims['active'] !== true) return 'inactive';
    // The issuer says "active" about now, but its clock need not be ours.
    const { exp, nbf } = claims;
    if (typeof exp === 'number' && nowMs >= exp * 1_000) return 'expired';
    if (typeof nbf === 'number' && nowMs < nbf * 1_000) return 'not_yet_valid';
    if (claims['cnf'] !== undefined) return 'wrong_binding';
    if (isOtherKind(claims['token_type']) || isOtherKind(claims['typ'])) return 'bad_type';
    const { audiences } = this.#settings;
    if (audiences !== null) {
      const aud: readonly unknown[] = Array.isArray(claims['aud']) ? claims['aud'] : [claims['aud']];
      if (!aud.some((entry) => typeof entry === 'string' && audiences.includes(entry))) return 'wrong_audience';
    }
    // RFC 7662 §2.2: `sub` may be absent; a token of client credentials then has its holder in `client_id`.
    if (claims['sub'] === undefined) claims['sub'] = claims['username'] ?? claims['client_id'];
    const said = claims['iss'];
    const issuer = typeof said === 'string' && said !== '' ? said : 'introspection';
    const outside = issuer === this.#settings.ownIssuer ? null : issuer;
    const facts = factsOfClaims('introspect', claims, this.#settings.claims, outside);
    if (facts === null) return 'bad_claims';
    return new PreparedIdentity(facts, claims, this.#headers, typeof exp === 'number' ? exp * 1_000 : undefined);
  }
}

/** Endpoints also know refresh tokens, and call them active; as a bearer token one is stolen or mistaken. */
function isOtherKind(type: unknown): boolean {
  return typeof type === 'string' && !/^(?:bearer|access_token|at\+jwt|jwt)$/i.test(type);
}

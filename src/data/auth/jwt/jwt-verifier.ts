/**
 * Judges one JWT: finds its issuer and key, checks claims and signature, builds the identity, remembers it. Checks go
 * from cheap to expensive, so a flood of expired or foreign tokens costs no signature. It never waits: a key that is
 * not here yet is the answer `NeedsKeys`, and bearer.ts decides what to do. Owner: one worker; routes with the same
 * settings share one.
 */
import type { Clock } from '../../../base/clock.ts';
import type { JwtSettings } from '../../contract/auth.ts';
import type { Identity } from '../../contract/policy.ts';
import type { Secrets } from '../../contract/snapshot.ts';
import { factsOfClaims, PreparedIdentity } from '../identity.ts';
import type { HeaderMaker } from '../identity-headers.ts';
import { fingerprintOfThumbprint } from '../methods/certificate.ts';
import { Issuer } from './issuer.ts';
import { claimsProblem, type ParsedToken, parseToken, type TokenProblem } from './jwt.ts';
import type { KeyStore } from './key-store.ts';
import type { Revocations } from './revocations.ts';
import { TokenCache } from './token-cache.ts';

/** A verified token; lives in the cache and is shared by the requests that bring it. */
export interface VerifiedToken {
  readonly identity: Identity;
  readonly validUntilMs: number;
  readonly issuer: Issuer;
  /** SHA-256 of the client certificate that the token is bound to (RFC 8705 §3), or null. */
  readonly certificate: string | null;
}

/** The issuer is trusted and the token may be good, but its key is not here. */
export class NeedsKeys {
  readonly issuer: Issuer;
  readonly kid: string;

  constructor(issuer: Issuer, kid: string) {
    this.issuer = issuer;
    this.kid = kid;
  }
}

export class JwtVerifier {
  readonly cache: TokenCache<VerifiedToken>;
  readonly #settings: JwtSettings;
  readonly #issuers: readonly Issuer[];
  readonly #store: KeyStore;
  readonly #revocations: Revocations;
  readonly #clock: Clock;
  readonly #headers: HeaderMaker;
  readonly #unsubscribe: () => void;

  constructor(
    settings: JwtSettings,
    parts: {
      readonly secrets: Secrets;
      readonly store: KeyStore;
      readonly revocations: Revocations;
      readonly clock: Clock;
      readonly headers: HeaderMaker;
    },
  ) {
    this.#settings = settings;
    this.#issuers = settings.issuers.map((issuer) => new Issuer(issuer, parts.secrets));
    this.#store = parts.store;
    this.#revocations = parts.revocations;
    this.#clock = parts.clock;
    this.#headers = parts.headers;
    this.cache = new TokenCache(parts.clock, settings.cacheEntries, settings.cacheMs);
    for (const issuer of this.#issuers) issuer.refresh(parts.store);
    this.#unsubscribe = parts.store.onChange(() => this.#keysChanged());
  }

  dispose(): void {
    this.#unsubscribe();
    this.cache.clear();
  }

  /** Bound of the cache of verified tokens. */
  get cacheEntries(): number {
    return this.#settings.cacheEntries;
  }

  get issuers(): readonly Issuer[] {
    return this.#issuers;
  }

  /** Forgets cached tokens of revoked sessions, or revoked themselves. */
  forget(revoked: { readonly sids: ReadonlySet<string>; readonly jtis: ReadonlySet<string> }): void {
    this.cache.drop(({ identity }) => {
      const { sid, jti } = identity.claims;
      return (typeof sid === 'string' && revoked.sids.has(sid)) || (typeof jti === 'string' && revoked.jtis.has(jti));
    });
  }

  /** `token` verified and remembered under `cacheKey`, or why not. */
  verify(token: string, cacheKey: string): VerifiedToken | TokenProblem | NeedsKeys {
    const parsed = parseToken(token, this.#settings.maxTokenBytes);
    if (typeof parsed === 'string') return parsed;
    const issuer = this.#issuerOf(parsed.issuer, parsed.claims);
    if (issuer === null) return 'unknown_issuer';
    if (!issuer.settings.algorithms.includes(parsed.algorithm)) return 'bad_algorithm';
    const nowMs = this.#clock.wallMs();
    const problem = claimsProblem(parsed, issuer.rules, nowMs / 1_000);
    if (problem !== null) return problem;
    if (issuer.keys === null || nowMs >= issuer.keysExpireAtMs) return new NeedsKeys(issuer, parsed.kid ?? '');
    const key = issuer.keys.choose(parsed.kid, parsed.algorithm);
    if (key === null) {
      const rotated = parsed.kid !== null && issuer.publishedId !== null && !issuer.keys.knows(parsed.kid);
      return rotated ? new NeedsKeys(issuer, parsed.kid) : 'unknown_key';
    }
    if (!key.verify(parsed.algorithm, parsed.signingInput, parsed.signature)) return 'bad_signature';
    // Sessions belong to the identity service; another issuer's equal `sid` is none of its business.
    if (issuer.settings.keys.kind === 'identity' && this.#revocations.covers(parsed.claims)) return 'revoked';
    return this.#remember(parsed, issuer, cacheKey, nowMs);
  }

  #remember(parsed: ParsedToken, issuer: Issuer, cacheKey: string, nowMs: number): VerifiedToken | TokenProblem {
    const certificate = boundCertificate(parsed.claims['cnf']);
    if (certificate === undefined) return 'wrong_binding';
    // A shared secret without a name is the operator's own, like the identity service.
    const outside =
      issuer.settings.keys.kind === 'identity'
        ? null
        : issuer.settings.template === undefined
          ? issuer.iss
          : parsed.issuer;
    const facts = factsOfClaims('jwt', parsed.claims, issuer.settings.claims, outside);
    if (facts === null) return 'bad_claims';
    const expiresAtMs = ((parsed.claims['exp'] as number) + issuer.rules.leewaySeconds) * 1_000;
    const verified: VerifiedToken = {
      identity: new PreparedIdentity(facts, parsed.claims, this.#headers, expiresAtMs),
      validUntilMs: this.cache.validUntilMs(nowMs, Math.min(expiresAtMs, issuer.keysExpireAtMs)),
      issuer,
      certificate,
    };
    this.cache.set(cacheKey, verified);
    return verified;
  }

  /**
   * The issuer that names itself so; one without a name takes the tokens that no other claims. The identity service has
   * no name until it has published its keys: then such a token cannot be judged, and "come back" is truer than
   * "refused".
   */
  #issuerOf(iss: string | null, claims: ParsedToken['claims']): Issuer | null {
    let unnamed: Issuer | null = null;
    for (const issuer of this.#issuers) {
      if (issuer.takes(iss, claims)) return issuer;
      if (issuer.iss === null && (unnamed === null || issuer.settings.keys.kind === 'secret')) unnamed = issuer;
    }
    return unnamed;
  }

  #keysChanged(): void {
    for (const issuer of this.#issuers) {
      if (issuer.refresh(this.#store)) this.cache.drop((entry) => entry.issuer === issuer);
    }
  }
}

/**
 * What a token is bound to: null for nothing, a certificate's fingerprint, or undefined when it is bound in a way that
 * this gateway cannot check. Such a token is no bearer token (RFC 9449 §7.1 says so of DPoP), so it is refused.
 */
function boundCertificate(confirmation: unknown): string | null | undefined {
  if (confirmation === undefined) return null;
  if (typeof confirmation !== 'object' || confirmation === null) return undefined;
  const names = Object.keys(confirmation);
  const thumbprint = (confirmation as Record<string, unknown>)['x5t#S256'];
  if (names.length !== 1 || typeof thumbprint !== 'string') return undefined;
  return fingerprintOfThumbprint(thumbprint) ?? undefined;
}

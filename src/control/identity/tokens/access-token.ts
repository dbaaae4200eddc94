/**
 * Access tokens: JWTs of RFC 9068 (`typ` is `at+jwt`), five minutes by default, with who, for which session, what may
 * be done, how it was proven and, for children, what their parent allows. Verification here pins type, algorithm,
 * issuer and audience (RFC 8725 §3); whether the session is still alive is the caller's to ask
 * (docs/identity-rules.md, 4).
 */
import { randomUUID } from 'node:crypto';
import { errors, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import type { Clock } from '../../../base/clock.ts';
import { CSRF_CLAIM } from '../../../data/contract/browser-session.ts';
import type { IdentityOptions } from '../options.ts';
import type { SigningKeys } from './signing-keys.ts';

export interface AccessClaims {
  readonly subject: string;
  /** Session; absent for service and minted tokens. */
  readonly sessionId?: string;
  readonly scopes: readonly string[];
  readonly roles: readonly string[];
  readonly plan: string;
  readonly mfaVerified: boolean;
  readonly amr: readonly string[];
  /** Milliseconds. */
  readonly authAt: number;
  readonly parentId?: string | null;
  readonly ageBand?: string | null;
  /** Highest age rating of content that may be shown. */
  readonly contentRating?: number | null;
  readonly blockedTopics?: readonly string[];
  readonly quotas?: Readonly<Record<string, number>>;
  /** Who really acts (RFC 8693 §4.1), when an administrator impersonates. */
  readonly actor?: string | null;
  /** The token may not outlive this moment (milliseconds): the end of a session or of a child's allowed hours. */
  readonly notAfter?: number;
  /** Only in tokens that lie in cookies (data/contract/browser-session.ts). */
  readonly csrf?: string;
  readonly ttlMs?: number;
  readonly jti?: string;
}

export interface MintedToken {
  readonly token: string;
  readonly jti: string;
  /** Seconds since 1970. */
  readonly expiresAt: number;
  readonly expiresIn: number;
}

const TYPE = 'at+jwt';
const MAX_TOKEN_LENGTH = 8_192;

export class AccessTokens {
  readonly issuer: string;
  readonly audience: string;
  readonly #options: IdentityOptions;
  readonly #signingKeys: SigningKeys;
  readonly #clock: Clock;
  /** Tokens signed since the start of this process. */
  minted = 0;

  constructor(options: IdentityOptions, signingKeys: SigningKeys, clock: Clock) {
    this.issuer = options.issuer ?? options.publicUrl;
    this.audience = options.tokens.audience;
    this.#options = options;
    this.#signingKeys = signingKeys;
    this.#clock = clock;
  }

  async mint(claims: AccessClaims): Promise<MintedToken> {
    const now = Math.floor(this.#clock.wallMs() / 1_000);
    const wanted = now + Math.floor((claims.ttlMs ?? this.#options.tokens.accessTtl) / 1_000);
    const expiresAt = claims.notAfter === undefined ? wanted : Math.min(wanted, Math.floor(claims.notAfter / 1_000));
    const jti = claims.jti ?? randomUUID();
    const { kid, algorithm, key } = await this.#signingKeys.signer();
    const token = await new SignJWT(payloadOf(claims))
      .setProtectedHeader({ alg: algorithm, kid, typ: TYPE })
      .setIssuer(this.issuer)
      .setSubject(claims.subject)
      .setAudience(this.audience)
      .setIssuedAt(now)
      .setExpirationTime(expiresAt)
      .setJti(jti)
      .sign(key);
    this.minted++;
    return { token, jti, expiresAt, expiresIn: expiresAt - now };
  }

  /** The claims of a token that this service signed and that has not expired; undefined for any other. */
  async verify(token: string): Promise<JWTPayload | undefined> {
    if (token.length > MAX_TOKEN_LENGTH) return undefined;
    try {
      const { payload } = await jwtVerify(
        token,
        async (header) => {
          const found = await this.#signingKeys.verifier(header.kid ?? '', header.alg);
          if (found === undefined) throw new errors.JWKSNoMatchingKey();
          return found.key;
        },
        {
          // Keys of an algorithm used earlier stay published until their tokens are gone.
          algorithms: this.#signingKeys.algorithm === 'HS256' ? ['HS256'] : ['ES256', 'EdDSA', 'RS256'],
          typ: TYPE,
          issuer: this.issuer,
          audience: this.audience,
          requiredClaims: ['sub', 'exp', 'iat', 'jti'],
          currentDate: new Date(this.#clock.wallMs()),
        },
      );
      return payload;
    } catch (error) {
      // Everything wrong with a token is a JOSEError or a TypeError of malformed parts; a database fault is neither.
      if (error instanceof errors.JOSEError || error instanceof TypeError || error instanceof SyntaxError)
        return undefined;
      throw error;
    }
  }
}

function payloadOf(claims: AccessClaims): JWTPayload {
  const payload: JWTPayload = {
    scope: claims.scopes.join(' '),
    roles: [...claims.roles],
    plan: claims.plan,
    mfa_verified: claims.mfaVerified,
    amr: [...claims.amr],
    auth_time: Math.floor(claims.authAt / 1_000),
  };
  if (claims.sessionId !== undefined) payload['sid'] = claims.sessionId;
  if (claims.parentId) payload['par'] = claims.parentId;
  if (claims.ageBand) payload['age_band'] = claims.ageBand;
  if (claims.contentRating != null) payload['content_rating'] = claims.contentRating;
  if (claims.blockedTopics !== undefined && claims.blockedTopics.length > 0)
    payload['blocked_topics'] = [...claims.blockedTopics];
  if (claims.quotas !== undefined && Object.keys(claims.quotas).length > 0) payload['quotas'] = { ...claims.quotas };
  if (claims.csrf !== undefined) payload[CSRF_CLAIM] = claims.csrf;
  if (claims.actor) payload['act'] = { sub: claims.actor };
  return payload;
}

/**
 * Reads a token strictly as a signed JWT in compact form (RFC 7515 §7.1, RFC 7519 §7.2, RFC 8725) and checks its
 * claims. Everything that could be read in two ways is refused. It does not choose keys or trust anybody (bearer.ts
 * does), and it does no cryptography: VerifyKey does, with node:crypto. jose is not used here because a worker would
 * carry it for one function, verification through it is asynchronous WebCrypto (a promise per request, 0.25 ms for
 * ES256 against 0.1 ms), and the rules below are stricter than its defaults.
 */
import type { Algorithm, ClaimRules } from '../../contract/auth.ts';
import { isAlgorithm } from './algorithms.ts';
import { decodeBase64url } from './base64url.ts';
import { parseStrictObject } from './strict-json.ts';

/** Why a token is refused; for logs and metrics only, never sent to the caller. */
const TOKEN_PROBLEMS = [
  'oversized',
  'malformed',
  'bad_base64',
  'bad_header',
  'bad_payload',
  'bad_algorithm',
  'bad_type',
  'bad_claims',
  'unsupported_header',
  'critical_header',
  'unknown_issuer',
  'unknown_key',
  'bad_signature',
  'expired',
  'not_yet_valid',
  'too_old',
  'wrong_audience',
  'revoked',
  'wrong_binding',
] as const;
export type TokenProblem = (typeof TOKEN_PROBLEMS)[number];

export interface ParsedToken {
  readonly algorithm: Algorithm;
  readonly kid: string | null;
  /** Lower case, without `application/`; empty when the token names none. */
  readonly type: string;
  readonly claims: Readonly<Record<string, unknown>>;
  /** `iss`, or null. */
  readonly issuer: string | null;
  readonly signingInput: Buffer;
  readonly signature: Buffer;
}

/**
 * Header parameters that bring or point to a key, change the payload, or mean encryption. Not one of them is needed
 * by an honest issuer of access tokens, and each has been an attack (RFC 8725 §2.7, §3.10), so their mere presence
 * refuses the token.
 */
const REFUSED_PARAMETERS = ['jku', 'jwk', 'x5u', 'x5c', 'b64', 'zip', 'enc', 'epk', 'p2s', 'p2c', 'apu', 'apv'];

/** Longest `kid`; it is only compared, but it is also logged and asked for. */
const MAX_KID_LENGTH = 256;

/** Has the text three parts? Others are opaque tokens or JWEs, which another method may judge. */
function looksLikeJws(token: string): boolean {
  const first = token.indexOf('.');
  if (first <= 0) return false;
  const second = token.indexOf('.', first + 1);
  return second > first && token.indexOf('.', second + 1) < 0;
}

/** The token's parts, or why it is none. Nothing is verified yet. */
export function parseToken(token: string, maxBytes: number): ParsedToken | TokenProblem {
  if (token.length > maxBytes) return 'oversized';
  if (!looksLikeJws(token)) return 'malformed';
  const first = token.indexOf('.');
  const second = token.indexOf('.', first + 1);
  const headerBytes = decodeBase64url(token.slice(0, first));
  const payloadBytes = decodeBase64url(token.slice(first + 1, second));
  const signature = decodeBase64url(token.slice(second + 1));
  if (headerBytes === null || payloadBytes === null || signature === null) return 'bad_base64';

  const header = parseStrictObject(headerBytes);
  if (header === null) return 'bad_header';
  // RFC 7515 §4.1.11: an extension that is not understood must refuse the token, and none is understood here.
  if (Object.hasOwn(header, 'crit')) return 'critical_header';
  for (const name of REFUSED_PARAMETERS) if (Object.hasOwn(header, name)) return 'unsupported_header';
  // `Object.hasOwn` and direct reads agree: JSON.parse makes own properties, also of `__proto__`.
  if (!isAlgorithm(header['alg'])) return 'bad_algorithm';
  const kid = header['kid'];
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID_LENGTH)) return 'bad_header';
  const type = tokenType(header['typ']);
  const contentType = header['cty'];
  // `cty: JWT` announces a nested token (RFC 7519 §5.2); those are not unwrapped.
  if (type === null || contentType !== undefined) return 'bad_type';
  if (signature.length === 0) return 'bad_signature';

  const claims = parseStrictObject(payloadBytes);
  if (claims === null || !standardClaimsAreTyped(claims)) return 'bad_payload';
  return {
    algorithm: header['alg'],
    kid: kid ?? null,
    type,
    claims,
    issuer: (claims['iss'] as string | undefined) ?? null,
    signingInput: Buffer.from(token.slice(0, second), 'latin1'),
    signature,
  };
}

/** RFC 7515 §4.1.9: media types compare without case, and `application/` may be left out. */
function tokenType(typ: unknown): string | null {
  if (typ === undefined) return '';
  if (typeof typ !== 'string' || typ === '') return null;
  const lower = typ.toLowerCase();
  return lower.startsWith('application/') ? lower.slice('application/'.length) : lower;
}

/** RFC 7519 §4.1: registered claims have types, and a wrong type is a defect of the token, not an absent claim. */
function standardClaimsAreTyped(claims: Readonly<Record<string, unknown>>): boolean {
  for (const name of ['iss', 'sub', 'jti', 'sid']) {
    const value = claims[name];
    if (value !== undefined && (typeof value !== 'string' || !value.isWellFormed())) return false;
  }
  for (const name of ['exp', 'nbf', 'iat', 'auth_time']) {
    const value = claims[name];
    if (value !== undefined && (typeof value !== 'number' || !Number.isFinite(value) || value < 0)) return false;
  }
  const audience = claims['aud'];
  return (
    audience === undefined ||
    typeof audience === 'string' ||
    (Array.isArray(audience) && audience.every((entry) => typeof entry === 'string'))
  );
}

/**
 * Why the claims are not acceptable now, or null. `exp` is always required (RFC 8725 gives no reason to do without).
 */
export function claimsProblem(token: ParsedToken, rules: ClaimRules, nowSeconds: number): TokenProblem | null {
  if (!rules.types.includes(token.type)) return 'bad_type';
  const { exp, nbf, iat, aud } = token.claims as {
    readonly exp?: number;
    readonly nbf?: number;
    readonly iat?: number;
    readonly aud?: string | readonly string[];
  };
  if (exp === undefined) return 'bad_claims';
  // RFC 7519 §4.1.4: "on or after" the expiration time the token must not be accepted.
  if (nowSeconds >= exp + rules.leewaySeconds) return 'expired';
  if (nbf !== undefined && nowSeconds + rules.leewaySeconds < nbf) return 'not_yet_valid';
  if (rules.maxAgeSeconds > 0) {
    if (iat === undefined || iat > nowSeconds + rules.leewaySeconds) return 'bad_claims';
    if (nowSeconds - iat > rules.maxAgeSeconds + rules.leewaySeconds) return 'too_old';
  }
  if (rules.audiences !== null && !audienceMatches(aud, rules.audiences)) return 'wrong_audience';
  return null;
}

/** RFC 7519 §4.1.3; compared exactly, as case-sensitive strings. */
function audienceMatches(aud: string | readonly string[] | undefined, wanted: readonly string[]): boolean {
  if (aud === undefined) return false;
  if (typeof aud === 'string') return wanted.includes(aud);
  return aud.some((entry) => wanted.includes(entry));
}

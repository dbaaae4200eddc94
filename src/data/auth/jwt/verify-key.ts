/**
 * Keys that verify tokens: a JWK (RFC 7517) becomes a node:crypto KeyObject once, with the algorithms it may be used
 * for fixed at that moment (RFC 8725 §3.1). What a token says about its key is only ever compared with this.
 * Pure; control uses it to check configuration, workers to verify.
 */
import {
  constants,
  createHmac,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  timingSafeEqual,
  verify,
} from 'node:crypto';
import { messageOf } from '../../../base/errors.ts';
import { ALGORITHMS, type Algorithm, type Jwk } from '../../contract/auth.ts';
import { ALGORITHM_TRAITS, isAlgorithm } from './algorithms.ts';
import { decodeBase64url } from './base64url.ts';

/** RFC 7518 §3.3 asks for 2048 bits or more. */
const MIN_RSA_BITS = 2_048;

export class VerifyKey {
  readonly kid: string | null;
  readonly algorithms: readonly Algorithm[];
  readonly #key: KeyObject;
  readonly #modulusBytes: number;

  constructor(kid: string | null, algorithms: readonly Algorithm[], key: KeyObject) {
    this.kid = kid;
    this.algorithms = algorithms;
    this.#key = key;
    this.#modulusBytes = (key.asymmetricKeyDetails?.modulusLength ?? 0) >> 3;
  }

  /** Is `signature` the signature of `input` under this key? False also when the key is not for `algorithm`. */
  verify(algorithm: Algorithm, input: Buffer, signature: Buffer): boolean {
    if (!this.algorithms.includes(algorithm)) return false;
    const traits = ALGORITHM_TRAITS[algorithm];
    // One length per algorithm: a DER-encoded, shortened or extended ECDSA signature is another spelling of one token.
    const expectedBytes = traits.signatureBytes === 0 ? this.#modulusBytes : traits.signatureBytes;
    if (signature.length !== expectedBytes) return false;
    switch (algorithm) {
      case 'HS256':
      case 'HS384':
      case 'HS512':
        return timingSafeEqual(
          createHmac(traits.digest ?? '', this.#key)
            .update(input)
            .digest(),
          signature,
        );
      case 'ES256':
      case 'ES384':
      case 'ES512':
        // RFC 7518 §3.4: r and s as two fixed-length numbers, not DER. OpenSSL refuses r or s of 0 or beyond the order.
        return verify(traits.digest, input, { key: this.#key, dsaEncoding: 'ieee-p1363' }, signature);
      case 'PS256':
      case 'PS384':
      case 'PS512':
        // RFC 7518 §3.5: the salt is as long as the digest.
        return verify(
          traits.digest,
          input,
          { key: this.#key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
          signature,
        );
      default:
        return verify(traits.digest, input, this.#key, signature);
    }
  }
}

/** A symmetric key. Never made from published keys. */
export function secretVerifyKey(
  secret: string | Buffer,
  kid: string | null,
  algorithms: readonly Algorithm[] = ['HS256'],
): VerifyKey {
  const bytes = typeof secret === 'string' ? Buffer.from(secret, 'utf8') : secret;
  return new VerifyKey(kid, algorithms, createSecretKey(bytes));
}

/**
 * The key, or what is wrong with the JWK. `allowed` are the algorithms of its issuer; `oct` keys are taken only when
 * `trustSecrets` says that the set came from inside (the built-in identity service), never from a published set:
 * otherwise a public key published as an `oct` key allows key confusion (RFC 8725 §2.1).
 */
export function verifyKeyOfJwk(jwk: Jwk, allowed: readonly Algorithm[], trustSecrets: boolean): VerifyKey | string {
  if (typeof jwk !== 'object' || jwk === null) return 'the key is not an object';
  if (jwk.use !== undefined && jwk.use !== 'sig') return `use ${JSON.stringify(jwk.use)} is not sig`;
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) {
    return 'key_ops does not include verify';
  }
  if (jwk.kid !== undefined && typeof jwk.kid !== 'string') return 'kid is not a string';
  if (jwk.alg !== undefined && !isAlgorithm(jwk.alg)) return `alg ${JSON.stringify(jwk.alg)} is not supported`;
  const algorithms = ALGORITHMS.filter((name) => {
    const traits = ALGORITHM_TRAITS[name];
    if (traits.keyType !== jwk.kty || traits.curve !== (jwk.crv ?? null)) return false;
    return (jwk.alg === undefined || sameAlgorithm(jwk.alg, name)) && allowed.includes(name);
  });
  if (algorithms.length === 0) {
    return `no allowed algorithm fits kty ${jwk.kty}, crv ${jwk.crv ?? 'none'}, alg ${jwk.alg ?? 'none'}`;
  }
  const kid = jwk.kid ?? null;
  if (jwk.kty === 'oct') {
    const bytes = trustSecrets && typeof jwk.k === 'string' ? decodeBase64url(jwk.k) : null;
    return bytes === null
      ? 'a symmetric key cannot come from a published set'
      : secretVerifyKey(bytes, kid, algorithms);
  }
  // Only public members go on: a private key in a published set is a mistake and must not be kept.
  const { kty, crv, x, y, n, e } = jwk;
  try {
    const key = createPublicKey({ key: { kty, crv, x, y, n, e } as Record<string, string>, format: 'jwk' });
    if (kty === 'RSA' && (key.asymmetricKeyDetails?.modulusLength ?? 0) < MIN_RSA_BITS) {
      return `an RSA key needs ${MIN_RSA_BITS} bits or more`;
    }
    return new VerifyKey(kid, algorithms, key);
  } catch (error) {
    return `not a valid key: ${messageOf(error)}`;
  }
}

/** RFC 9864 gave EdDSA over Ed25519 the name Ed25519; a key may carry either, and so may its tokens. */
function sameAlgorithm(pinned: string, name: Algorithm): boolean {
  return pinned === name || (pinned === 'EdDSA' && name === 'Ed25519') || (pinned === 'Ed25519' && name === 'EdDSA');
}

/** Most keys one set may hold; a longer set is cut, which bounds the work of choosing. */
const MAX_KEYS = 64;

/** Where a set of keys comes from, which decides how far it is trusted. */
export type KeyOrigin =
  /** Configured by the operator: a key without `kid` verifies tokens of any `kid`. */
  | 'configuration'
  /** The built-in identity service: may hold symmetric keys. */
  | 'identity'
  /** Fetched from outside: no symmetric keys, `kid` must agree exactly. */
  | 'published';

/** The keys of one issuer. Choosing never guesses: a `kid` that is not here, or no `kid` with several keys, is null. */
export class KeySet {
  readonly keys: readonly VerifyKey[];
  /** What was wrong with the JWKs that are not here. */
  readonly problems: readonly string[];
  readonly #takesAnyKid: boolean;

  constructor(keys: readonly VerifyKey[], source: KeyOrigin, problems: readonly string[] = []) {
    this.keys = keys;
    this.problems = problems;
    this.#takesAnyKid = source === 'configuration';
  }

  static ofJwks(jwks: readonly Jwk[], allowed: readonly Algorithm[], source: KeyOrigin): KeySet {
    const keys: VerifyKey[] = [];
    const problems: string[] = [];
    for (const [index, jwk] of jwks.slice(0, MAX_KEYS).entries()) {
      const key = verifyKeyOfJwk(jwk, allowed, source === 'identity');
      if (typeof key === 'string') problems.push(`key ${index} (kid ${JSON.stringify(jwk?.kid ?? null)}): ${key}`);
      else keys.push(key);
    }
    if (jwks.length > MAX_KEYS) problems.push(`the set holds ${jwks.length} keys, only ${MAX_KEYS} are used`);
    return new KeySet(keys, source, problems);
  }

  /** The key for a token's `kid` (null if it has none) and `alg`; `null` when there is none or more than one. */
  choose(kid: string | null, algorithm: Algorithm): VerifyKey | null {
    let found: VerifyKey | null = null;
    for (const key of this.keys) {
      if (!this.#kidAgrees(key, kid) || !key.algorithms.includes(algorithm)) continue;
      if (found !== null) return null;
      found = key;
    }
    return found;
  }

  /** Is there any key that a token with this `kid` may have meant? If not, the issuer may have rotated. */
  knows(kid: string | null): boolean {
    return this.keys.some((key) => this.#kidAgrees(key, kid));
  }

  #kidAgrees(key: VerifyKey, kid: string | null): boolean {
    return kid === null || key.kid === kid || (key.kid === null && this.#takesAnyKid);
  }
}

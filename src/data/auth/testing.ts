/**
 * For tests: an issuer with real keys that signs anything, also what no honest issuer would, and settings
 * of the `auth` policy to start from.
 */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { Algorithm, AuthSettings, IssuerSettings, Jwk, JwtSettings } from '../contract/auth.ts';
import { DEFAULT_CLAIM_NAMES } from './identity.ts';
import { ALGORITHM_TRAITS } from './jwt/algorithms.ts';

export const encodePart = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** Signs with a key that exists only in this test. */
export class SigningIssuer {
  readonly algorithm: Exclude<Algorithm, 'HS256'>;
  readonly kid: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;

  constructor(algorithm: Exclude<Algorithm, 'HS256'> = 'ES256', kid = 'key-1') {
    this.algorithm = algorithm;
    this.kid = kid;
    const { keyType, curve } = ALGORITHM_TRAITS[algorithm];
    const pair =
      keyType === 'RSA'
        ? generateKeyPairSync('rsa', { modulusLength: 2_048 })
        : keyType === 'EC'
          ? generateKeyPairSync('ec', { namedCurve: curve ?? '' })
          : generateKeyPairSync('ed25519');
    this.publicKey = pair.publicKey;
    this.privateKey = pair.privateKey;
  }

  get jwk(): Jwk {
    return {
      ...(this.publicKey.export({ format: 'jwk' }) as unknown as Jwk),
      kid: this.kid,
      alg: this.algorithm,
      use: 'sig',
    };
  }

  token(claims: unknown, header: Record<string, unknown> = {}): string {
    const input = `${encodePart({ alg: this.algorithm, typ: 'JWT', kid: this.kid, ...header })}.${encodePart(claims)}`;
    return `${input}.${this.signature(input).toString('base64url')}`;
  }

  signature(input: string): Buffer {
    const bytes = Buffer.from(input);
    const key = this.privateKey;
    switch (this.algorithm) {
      case 'ES256':
      case 'ES384':
      case 'ES512':
        return sign(ALGORITHM_TRAITS[this.algorithm].digest, bytes, { key, dsaEncoding: 'ieee-p1363' });
      case 'PS256':
      case 'PS384':
      case 'PS512':
        return sign(ALGORITHM_TRAITS[this.algorithm].digest, bytes, { key, padding: 6, saltLength: -1 });
      case 'RS256':
      case 'RS384':
      case 'RS512':
        return sign(ALGORITHM_TRAITS[this.algorithm].digest, bytes, key);
      default:
        return sign(null, bytes, key);
    }
  }
}

/** An HS256 token. */
export function secretToken(secret: string | Buffer, claims: unknown, header: Record<string, unknown> = {}): string {
  const input = `${encodePart({ alg: 'HS256', typ: 'JWT', ...header })}.${encodePart(claims)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

export function issuerSettings(more: Partial<IssuerSettings> = {}): IssuerSettings {
  return {
    name: 'test',
    issuer: 'https://issuer.example',
    audiences: ['api'],
    types: ['', 'jwt', 'at+jwt'],
    leewaySeconds: 5,
    maxAgeSeconds: 0,
    algorithms: ['ES256', 'ES384', 'EdDSA', 'Ed25519', 'RS256', 'PS256'],
    keys: { kind: 'inline', keys: [] },
    claims: DEFAULT_CLAIM_NAMES,
    ...more,
  };
}

export function jwtSettings(issuers: readonly IssuerSettings[], more: Partial<JwtSettings> = {}): JwtSettings {
  return {
    issuers,
    sources: [{ in: 'authorization' }],
    maxTokenBytes: 8_192,
    cacheEntries: 1_000,
    cacheMs: 30_000,
    ...more,
  };
}

export function authSettings(more: Partial<AuthSettings> = {}): AuthSettings {
  return {
    realm: 'test',
    mode: 'any',
    optional: false,
    mayEnrol: false,
    jwt: null,
    introspect: null,
    apiKey: null,
    basic: null,
    mtls: null,
    external: null,
    ticketParameter: null,
    requirements: { scopes: [], roles: [], mfa: 'off' as const, maxAuthAgeSeconds: 0 },
    forward: { kind: 'plain' },
    hideCredentials: false,
    streamsOutliveExpiry: false,
    ...more,
  };
}

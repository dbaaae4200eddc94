/**
 * The signature algorithms that tokens may use, as one table (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2). An
 * algorithm names its key type, curve, digest and signature length, so that nothing about the key is ever taken from
 * a token. `none` is not in the table and so does not exist here. All arithmetic is node:crypto's.
 */

import { ALGORITHMS, type Algorithm } from '../../contract/auth.ts';

/** Those that sign with a private key: the only ones allowed with published keys. */
export const PUBLIC_KEY_ALGORITHMS = ALGORITHMS.filter((name) => !name.startsWith('HS'));

export interface AlgorithmTraits {
  readonly keyType: 'EC' | 'OKP' | 'RSA' | 'oct';
  readonly curve: string | null;
  /** `null` where the algorithm hashes by itself (Ed25519). */
  readonly digest: string | null;
  /** Length of a signature; 0 where it is the length of the RSA modulus. */
  readonly signatureBytes: number;
}

export const ALGORITHM_TRAITS: Readonly<Record<Algorithm, AlgorithmTraits>> = {
  ES256: { keyType: 'EC', curve: 'P-256', digest: 'sha256', signatureBytes: 64 },
  ES384: { keyType: 'EC', curve: 'P-384', digest: 'sha384', signatureBytes: 96 },
  ES512: { keyType: 'EC', curve: 'P-521', digest: 'sha512', signatureBytes: 132 },
  EdDSA: { keyType: 'OKP', curve: 'Ed25519', digest: null, signatureBytes: 64 },
  Ed25519: { keyType: 'OKP', curve: 'Ed25519', digest: null, signatureBytes: 64 },
  RS256: { keyType: 'RSA', curve: null, digest: 'sha256', signatureBytes: 0 },
  RS384: { keyType: 'RSA', curve: null, digest: 'sha384', signatureBytes: 0 },
  RS512: { keyType: 'RSA', curve: null, digest: 'sha512', signatureBytes: 0 },
  PS256: { keyType: 'RSA', curve: null, digest: 'sha256', signatureBytes: 0 },
  PS384: { keyType: 'RSA', curve: null, digest: 'sha384', signatureBytes: 0 },
  PS512: { keyType: 'RSA', curve: null, digest: 'sha512', signatureBytes: 0 },
  HS256: { keyType: 'oct', curve: null, digest: 'sha256', signatureBytes: 32 },
  HS384: { keyType: 'oct', curve: null, digest: 'sha384', signatureBytes: 48 },
  HS512: { keyType: 'oct', curve: null, digest: 'sha512', signatureBytes: 64 },
};

export function isAlgorithm(name: unknown): name is Algorithm {
  return typeof name === 'string' && (ALGORITHMS as readonly string[]).includes(name);
}

/**
 * What the gateway job needs besides a proxy: 1,000 ES256 tokens, the key they are checked with, and tokens that must
 * be refused. The limits are two windows per subject, set above what the load of one subject reaches, so that the timed
 * requests pass while every one of them is counted.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * At 30,000 requests/s a subject gets 30 a second, in bursts of a few seconds; these allow 50 and 33 a second for good,
 * and a whole window at once.
 */
export const limits = { perMinute: 3_000, perHour: 120_000 } as const;
export const issuer = 'https://issuer.bench';
export const audience = 'bench';
const subjects = 1_000;

export interface GatewayJob {
  readonly tokensFile: string;
  /** SubjectPublicKeyInfo, PEM. */
  readonly publicKeyFile: string;
  readonly goodToken: string;
  /** A subject of its own, so that exhausting it leaves the others alone. */
  readonly exhaustToken: string;
  /** What each must be refused for, and the token. */
  readonly badTokens: readonly { readonly why: string; readonly token: string }[];
}

export function makeGatewayJob(folder: string): GatewayJob {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const now = Math.floor(Date.now() / 1000);
  const token = (subject: string, changes: object = {}, key = privateKey) =>
    makeToken(key, { sub: subject, iat: now, exp: now + 6 * 3600, ...changes });
  const files = {
    tokensFile: join(folder, 'tokens.txt'),
    publicKeyFile: join(folder, 'public.pem'),
  };
  const tokens = Array.from({ length: subjects }, (_, i) => token(`user-${i}`));
  writeFileSync(files.tokensFile, `${tokens.join('\n')}\n`);
  writeFileSync(files.publicKeyFile, publicKey.export({ type: 'spki', format: 'pem' }));
  const good = tokens[0] as string;
  return {
    ...files,
    goodToken: good,
    exhaustToken: token('exhausted'),
    badTokens: [
      { why: 'no token', token: '' },
      { why: 'a changed signature', token: tamper(good) },
      { why: 'a key of somebody else', token: token('user-1', {}, stranger.privateKey) },
      { why: 'an expired token', token: token('user-1', { iat: now - 7200, exp: now - 3600 }) },
      { why: 'another audience', token: token('user-1', { aud: 'elsewhere' }) },
      { why: 'another issuer', token: token('user-1', { iss: 'https://elsewhere.bench' }) },
    ],
  };
}

function makeToken(key: KeyObject, claims: object): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const head = encode({ alg: 'ES256', typ: 'JWT', kid: 'bench' });
  const body = encode({ iss: issuer, aud: audience, scope: 'projects:read projects:write', ...claims });
  const signature = sign('sha256', Buffer.from(`${head}.${body}`), { key, dsaEncoding: 'ieee-p1363' });
  return `${head}.${body}.${signature.toString('base64url')}`;
}

/** Changes a character in the middle of the signature, where all six bits count. */
function tamper(token: string): string {
  const at = token.length - 40;
  return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
}

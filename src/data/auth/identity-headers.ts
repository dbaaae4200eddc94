/**
 * How an identity travels to the upstream: as plain `X-Auth-*` fields, as one signed field, or not at all. The names
 * here belong to the gateway alone: the engine removes every copy that a caller sent before it adds its own. Strings
 * are made once per identity, not per request.
 */
import { createHmac, createPrivateKey, createSecretKey, type KeyObject, sign } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import type { SignedHeaderSettings } from '../contract/auth.ts';

/** What the headers are made from. */
export interface IdentityFacts {
  readonly method: string;
  readonly subject: string;
  /** Null or absent: this gateway itself. */
  readonly issuer?: string | null;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly plan: string | null;
}

export type HeaderMaker = (facts: IdentityFacts) => Readonly<Record<string, string>>;

/**
 * Names, lower case, that a caller may never send through. The engine's parser takes a name with `_` for `-` as the
 * same name, because CGI-style upstreams do.
 */
export const IDENTITY_HEADERS = [
  'x-auth-subject',
  'x-auth-issuer',
  'x-auth-roles',
  'x-auth-scopes',
  'x-auth-plan',
  'x-auth-method',
  'x-auth-identity',
] as const;

/**
 * Text as a field value: visible ASCII stays, except `%` and `,`; everything else becomes percent-encoded UTF-8, so
 * that `decodeURIComponent` gives the text back, a list keeps its commas, and no claim can end the line.
 */
export function encodeFieldText(text: string): string {
  if (/^[\x21-\x24\x26-\x2b\x2d-\x7e]*$/.test(text)) return text;
  let encoded = '';
  for (const byte of Buffer.from(text, 'utf8')) {
    const plain = byte > 0x20 && byte < 0x7f && byte !== 0x25 && byte !== 0x2c;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/**
 * One field per fact; what is not known has no field. Lists are joined with `,`, scopes with a space (RFC 6749 §3.3).
 */
export const plainHeaders: HeaderMaker = (facts) => {
  const headers: Record<string, string> = {
    'x-auth-subject': encodeFieldText(facts.subject),
    'x-auth-method': facts.method,
  };
  if (facts.issuer != null) headers['x-auth-issuer'] = encodeFieldText(facts.issuer);
  if (facts.roles.length > 0) headers['x-auth-roles'] = facts.roles.map(encodeFieldText).join(',');
  if (facts.scopes.length > 0) headers['x-auth-scopes'] = facts.scopes.map(encodeFieldText).join(' ');
  if (facts.plan !== null) headers['x-auth-plan'] = encodeFieldText(facts.plan);
  return headers;
};

const NOTHING: Readonly<Record<string, string>> = Object.freeze({});
export const noHeaders: HeaderMaker = () => NOTHING;

/**
 * `X-Auth-Identity: <JWT>`, for upstreams that others than the gateway can reach. `key` is the shared secret for
 * HS256 and a PEM private key otherwise; a key that does not fit is a TypeError at start.
 */
export function signedHeaders(settings: SignedHeaderSettings, key: string, clock: Clock): HeaderMaker {
  const signer = createSigner(settings, key);
  const head = Buffer.from(
    JSON.stringify({
      alg: settings.algorithm,
      typ: 'gatehouse-identity+jwt',
      ...(settings.kid === null ? {} : { kid: settings.kid }),
    }),
  ).toString('base64url');
  return (facts) => {
    const nowSeconds = Math.floor(clock.wallMs() / 1_000);
    const payload = {
      iss: settings.issuer,
      ...(settings.audience === '' ? {} : { aud: settings.audience }),
      sub: facts.subject,
      // RFC 9493 §3.2.4: whose subject it is, where it is an outside issuer's.
      ...(facts.issuer == null ? {} : { sub_id: { format: 'iss_sub', iss: facts.issuer, sub: facts.subject } }),
      iat: nowSeconds,
      exp: nowSeconds + settings.lifetimeSeconds,
      method: facts.method,
      roles: facts.roles,
      scope: facts.scopes.join(' '),
      ...(facts.plan === null ? {} : { plan: facts.plan }),
    };
    const input = `${head}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`;
    return { 'x-auth-identity': `${input}.${signer(input).toString('base64url')}` };
  };
}

function createSigner(settings: SignedHeaderSettings, key: string): (input: string) => Buffer {
  if (settings.algorithm === 'HS256') {
    const secret = createSecretKey(Buffer.from(key, 'utf8'));
    return (input) => createHmac('sha256', secret).update(input).digest();
  }
  const privateKey: KeyObject = createPrivateKey(key);
  const curve = privateKey.asymmetricKeyDetails?.namedCurve;
  if (settings.algorithm === 'ES256') {
    if (curve !== 'prime256v1') throw new TypeError('the key of the signed identity header is not a P-256 key');
    return (input) => sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  }
  if (privateKey.asymmetricKeyType !== 'ed25519') {
    throw new TypeError('the key of the signed identity header is not an Ed25519 key');
  }
  return (input) => sign(null, Buffer.from(input), privateKey);
}

/**
 * The text of an API key: `ghk_<id>_<secret><checksum>`. The checksum (CRC-32 in base 62) lets secret scanners and
 * this service tell a key from a typing error without a look-up; it protects nothing by itself.
 */
import { hash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { base62 } from '../../secrets/random-token.ts';

const KEY = /^ghk_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/;

export interface NewKeyText {
  readonly id: string;
  readonly text: string;
  readonly hash: string;
}

export function makeKeyText(): NewKeyText {
  const id = base62(randomBytes(9)).slice(-12);
  const body = `ghk_${id}_${base62(randomBytes(32))}`;
  const text = body + checksum(body);
  return { id, text, hash: hashOfKey(text) };
}

/** The id inside a well-formed key, or undefined. */
export function idOfKey(text: string): string | undefined {
  const match = KEY.exec(text);
  if (match === null) return undefined;
  return checksum(text.slice(0, -6)) === match[3] ? match[1] : undefined;
}

/** SHA-256: enough for a secret of 256 random bits, where a slow hash would only cost time. */
export function hashOfKey(text: string): string {
  return hash('sha256', text, 'base64url');
}

function checksum(body: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return base62(bytes).padStart(6, '0').slice(-6);
}

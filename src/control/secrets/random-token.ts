/** Random secrets that leave the service as text. All have at least 190 bits, so guessing is no concern. */
import { randomBytes } from 'node:crypto';

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** A number of `bytes` in base 62, padded to one length: no `_` or `-`, so that it can be a part of a larger token. */
export function base62(bytes: Uint8Array): string {
  let value = BigInt(`0x${Buffer.from(bytes).toString('hex') || '0'}`);
  let text = '';
  const length = Math.ceil((bytes.length * 8) / Math.log2(62));
  for (let i = 0; i < length; i++) {
    text = (BASE62[Number(value % 62n)] ?? '') + text;
    value /= 62n;
  }
  return text;
}

export function randomSecret(bytes = 32): string {
  return base62(randomBytes(bytes));
}

/**
 * What a problem message may show of a value. Secrets are known by their schema (`writeOnly`), by the name of their
 * key, by their shape (credentials in a URL, PEM text), or because they came out of the environment; none of them is
 * repeated, whatever is wrong with it.
 */
import type { KeyPath } from '../../data/contract/options.ts';

const SECRET_KEY =
  /(secret|passw|passphrase|token|credential|private|api[-_]?key|authorization|cookie$|signature|^key$|[a-z]Key$|^keys$|salt|pepper)/i;
const LONGEST = 60;

/** True when a value at this key may be a secret: by the key's name, or by the name of what it is a part of. */
export function isSecretKey(path: KeyPath): boolean {
  const last = path.length - 1;
  const names = (index: number): boolean => typeof path[index] === 'string' && SECRET_KEY.test(path[index]);
  // A service may be called token-service without every number below it being a secret.
  return names(last) || (names(last - 1) && path[last - 2] !== 'services');
}

/** The value as a message may show it. */
export function showValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return showText(value);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return `a ${typeof value}`;
}

function showText(text: string): string {
  if (text.includes('-----BEGIN')) return 'a PEM text';
  // Everything between the scheme and the last @ before the path can hold a password.
  const masked = text.replace(/([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/gi, '$1***@');
  const short = masked.length > LONGEST ? `${masked.slice(0, LONGEST)}…` : masked;
  return JSON.stringify(short);
}

/** What people paste, as they meant it. Knows no schema: who looks an account up needs it without one. */
import { domainToASCII } from 'node:url';

/** What comes along when people paste: blanks, line ends, characters that nobody sees. None is part of any code. */
const UNSEEN = /[\s\u00ad\u200b-\u200f\u2060\ufeff]+/g;
export const pasted = (value: string): string => value.replace(UNSEEN, '');
/** `123 456` and `123-456` are one code. */
export const pastedDigits = (value: string): string => pasted(value).replace(/[-\u2010-\u2015\u2212]/g, '');

/** `Ann <ann@example.com>`, `mailto:ann@example.com` and `ann@b\u00fccher.example` as people copy them. */
export function pastedEmail(value: string): string {
  const bare = pasted(/<([^<>]*)>\s*$/.exec(value)?.[1] ?? value).replace(/^mailto:/i, '');
  const at = bare.lastIndexOf('@');
  const domain = at < 0 ? '' : bare.slice(at + 1);
  return /[^\0-\x7f]/.test(domain) ? `${bare.slice(0, at)}@${domainToASCII(domain)}` : bare;
}

/** What somebody typed to sign in: an address, or a user name, which holds no blank. */
export const pastedLogin = (value: string): string => (value.includes('@') ? pastedEmail(value) : pasted(value));

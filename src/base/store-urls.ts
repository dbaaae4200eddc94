/**
 * URLs of stores, brokers and mail servers, which hold passwords, as their clients read them. What a client would
 * refuse, or read in another way than it is meant, is found when the configuration is checked; no complaint shows a
 * part of the URL.
 */
import type * as z from 'zod';
import { messageOf } from './errors.ts';
import { parseRedisUrl } from './redis.ts';
import { secret } from './zod-units.ts';

const ENCODED = 'write characters such as @ / # ? % in a user name or password as %40 %2F %23 %3F %25';

/** A secret text of this form that can be read as a URL. `form` is what the pattern wants, for people. */
export function storeUrl(pattern: RegExp, form: string): z.ZodString {
  return secret()
    .max(2_000)
    .regex(pattern, form)
    .check(({ value, issues }) => {
      const message = pattern.test(value) ? urlProblem(value) : undefined;
      if (message !== undefined) issues.push({ code: 'custom', input: value, message });
    });
}

/** Of a database that features keep their tables in. */
export function sqlUrl(): z.ZodString {
  return storeUrl(/^(sqlite:|postgres(ql)?:\/\/)\S+$/, 'must be sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE');
}

/** Undefined when it is right. */
function urlProblem(url: string): string | undefined {
  if (url.startsWith('sqlite:')) return undefined;
  if (/^rediss?[:+]/.test(url)) {
    // Its own reader takes the last `@` for the end of the password.
    try {
      parseRedisUrl(url);
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }
  if (!URL.canParse(url)) return `cannot be read as a URL with a host and a port up to 65535; ${ENCODED}`;
  const { username, password, hostname, pathname, search, hash } = new URL(url);
  // The credentials end at the first of / # ?, so an `@` behind it is likely to be meant as their end.
  if (`${pathname}${search}${hash}`.includes('@')) return `has an @ behind the host; ${ENCODED}`;
  if (hostname === '') return 'names no host';
  try {
    decodeURIComponent(`${username}${password}`);
  } catch {
    return `has a bare % in the user name or password; ${ENCODED}`;
  }
  return undefined;
}

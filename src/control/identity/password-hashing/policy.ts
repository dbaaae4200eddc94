/**
 * What a new password must be: long enough, not a common one, not the account's own name. No rules about kinds of
 * characters (NIST SP 800-63B §3.1.1.2): they make passwords worse.
 */

import type { IdentityOptions } from '../options.ts';
import type { FieldProblem } from '../problem.ts';
import { invalid } from '../problem.ts';
import { isCommonPassword } from './common.ts';

const MAX_LENGTH = 256;

/** Throws a 400 that says what is wrong; the password is not in it. `names` are the account's own. */
export function checkNewPassword(
  password: string,
  names: readonly (string | null | undefined)[],
  options: IdentityOptions['passwords'],
  field = 'password',
): void {
  const problem = passwordProblem(password, names, options);
  if (problem !== undefined) throw invalid([{ field, expected: problem } satisfies FieldProblem]);
}

function passwordProblem(
  password: string,
  names: readonly (string | null | undefined)[],
  options: IdentityOptions['passwords'],
): string | undefined {
  const length = [...password].length;
  if (length < options.minLength) return `at least ${options.minLength} characters`;
  if (length > MAX_LENGTH) return `at most ${MAX_LENGTH} characters`;
  if (new Set(password).size < 4) return 'more than three different characters';
  const lower = password.toLowerCase();
  for (const name of options.refuseNames ? names : []) {
    const own = name?.toLowerCase();
    if (own === undefined || own.length < 3) continue;
    const part = own.split('@')[0] ?? own;
    const rest = lower.replaceAll(own, '').replaceAll(part, '');
    if (rest.length < 6 && rest.length < lower.length) return 'a password that is not made of your own name';
  }
  if (options.refuseCommon && isCommonPassword(password)) return 'a password that is not on the list of common ones';
  return undefined;
}

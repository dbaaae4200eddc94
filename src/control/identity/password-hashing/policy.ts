/**
 * What a new password must be: long enough, not a common one, not the account's own name. No rules about kinds of
 * characters (NIST SP 800-63B §3.1.1.2): they make passwords worse.
 */

import type { FieldError } from '../../../base/error-body.ts';
import type { IdentityOptions } from '../options.ts';
import type { ProblemMore } from '../problem.ts';
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
  if (problem === undefined) return;
  const { expected, ...rule } = problem;
  throw invalid([{ field, expected } satisfies FieldError], rule);
}

type PasswordProblem = NonNullable<ProblemMore['rule']> & { readonly expected: string };

function passwordProblem(
  password: string,
  names: readonly (string | null | undefined)[],
  options: IdentityOptions['passwords'],
): PasswordProblem | undefined {
  const length = [...password].length;
  const { minLength } = options;
  if (length < minLength)
    return { expected: `at least ${minLength} characters`, text: 'passwordShort', count: minLength };
  if (length > MAX_LENGTH)
    return { expected: `at most ${MAX_LENGTH} characters`, text: 'passwordLong', count: MAX_LENGTH };
  if (new Set(password).size < 4) return { expected: 'more than three different characters', text: 'passwordVaried' };
  const lower = password.toLowerCase();
  for (const name of options.refuseNames ? names : []) {
    const own = name?.toLowerCase();
    if (own === undefined || own.length < 3) continue;
    const part = own.split('@')[0] ?? own;
    const rest = lower.replaceAll(own, '').replaceAll(part, '');
    if (rest.length < 6 && rest.length < lower.length)
      return { expected: 'a password that is not made of your own name', text: 'passwordName' };
  }
  if (options.refuseCommon && isCommonPassword(password))
    return { expected: 'a password that is not on the list of common ones', text: 'passwordCommon' };
  return undefined;
}

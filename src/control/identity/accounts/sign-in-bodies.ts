/** What is sent to sign in, with tokens for programs (routes-sign-in.ts) or with cookies (browser/routes.ts). */
import * as z from 'zod';
import * as field from '../fields.ts';
import { invalid } from '../problem.ts';

/** One of three names for the same thing: documents use `username`, people type either, `email` is for forms. */
export const loginBody = z.strictObject({
  login: field.loginName.optional(),
  username: field.loginName.optional(),
  email: field.loginName.optional(),
  password: field.password,
  scope: field.scopeText.optional(),
});

/** Throws 400 unless there is one. */
export function loginNameOf(body: Pick<z.output<typeof loginBody>, 'login' | 'username' | 'email'>): string {
  const names = [body.login, body.username, body.email].filter((name) => name !== undefined);
  const [name] = names;
  if (name === undefined || names.length > 1)
    throw invalid([{ field: 'username', expected: 'one of login, username or email' }]);
  return name;
}

export const secondFactorBody = z
  .strictObject({
    mfaTicket: field.opaque('the ticket that the sign-in answered'),
    code: field.totpCode.optional(),
    recoveryCode: field.recoveryCode.optional(),
    passkey: z.record(z.string(), z.unknown(), 'the answer of the authenticator').optional(),
  })
  .refine((body) => [body.code, body.recoveryCode, body.passkey].filter((given) => given !== undefined).length === 1, {
    error: 'one of code, recoveryCode or passkey',
  });

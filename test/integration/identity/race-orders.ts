/** What both processes of a race do at once, and what they report: how many of their tries got through. */

import { resetPassword } from '../../../src/control/identity/accounts/change-password.ts';
import { createFirstAdmin } from '../../../src/control/identity/accounts/first-admin.ts';
import { confirmRegistration } from '../../../src/control/identity/accounts/register.ts';
import { LOCAL_CALLER } from '../../../src/control/identity/caller.ts';
import type { IdentityContext } from '../../../src/control/identity/context.ts';
import { takeRecoveryCode } from '../../../src/control/identity/mfa/recovery.ts';
import { takeTotp } from '../../../src/control/identity/mfa/totp.ts';
import { adapterFactory } from '../../../src/control/identity/oauth/adapter.ts';
import { refreshSession } from '../../../src/control/identity/sessions/sessions.ts';

export interface RaceOrder {
  readonly kind:
    | 'refresh'
    | 'reset'
    | 'confirm'
    | 'recovery'
    | 'totp'
    | 'audit'
    | 'first-admin'
    | 'failures'
    | 'oauth-code';
  readonly tries: number;
  readonly userId: string;
  readonly secret: string;
}

export interface Outcomes {
  readonly passed: number;
  /** Anything but a plain refusal. */
  readonly faults: readonly string[];
}

export async function runOrder(context: IdentityContext, order: RaceOrder): Promise<Outcomes> {
  const results = await Promise.allSettled(Array.from({ length: order.tries }, (_, i) => attempt(context, order, i)));
  const faults: string[] = [];
  let passed = 0;
  for (const result of results) {
    if (result.status === 'fulfilled') passed += result.value ? 1 : 0;
    else if (
      !['invalid_refresh_token', 'refresh_in_progress', 'invalid_code', 'invalid_grant'].includes(
        result.reason?.reason ?? result.reason?.message,
      )
    )
      faults.push(String(result.reason));
  }
  return { passed, faults };
}

const KEEP = { removePasskeys: false, removeLinks: false };

async function attempt(context: IdentityContext, order: RaceOrder, i: number): Promise<boolean> {
  const { userId, secret } = order;
  switch (order.kind) {
    case 'refresh':
      // Another client each time: the same one would get the same next token again.
      await refreshSession(context, secret, { ...LOCAL_CALLER, userAgent: `${process.pid} ${i}` });
      return true;
    case 'reset':
      await resetPassword(context, secret, `a password of process ${process.pid} ${i}`, KEEP, LOCAL_CALLER);
      return true;
    case 'confirm': {
      const newPassword = `a password of process ${process.pid} ${i}`;
      await confirmRegistration(context, { token: secret, newPassword }, LOCAL_CALLER);
      return true;
    }
    case 'recovery':
      return await takeRecoveryCode(context, context.store.db, userId, secret);
    case 'totp':
      return await takeTotp(context, context.store.db, userId, secret);
    case 'audit':
      await context.audit.write({ actor: String(process.pid), action: 'race', detail: { i } });
      return true;
    case 'failures':
      await context.guard.fail(context.store.db, `user:${userId}`, { address: '192.0.2.1', isKnown: false });
      return true;
    case 'oauth-code':
      await adapterFactory(context)('AuthorizationCode').consume(secret);
      return true;
    case 'first-admin': {
      const names = { email: `a${process.pid}-${i}@example.com`, username: `a${process.pid}-${i}` };
      await createFirstAdmin(
        context,
        { token: secret, password: 'ancient walrus paints 9 fences', ...names },
        LOCAL_CALLER,
      );
      return true;
    }
  }
}

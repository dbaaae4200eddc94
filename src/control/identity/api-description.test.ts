import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { accountRoutes } from './accounts/routes.ts';
import { adminRoutes } from './accounts/routes-admin.ts';
import { setupRoutes } from './accounts/routes-setup.ts';
import { signInRoutes } from './accounts/routes-sign-in.ts';
import { IDENTITY_OPERATIONS } from './api-description.ts';
import { keyRoutes } from './api-keys/routes.ts';
import { auditRoutes } from './audit/routes.ts';
import { browserRoutes } from './browser/routes.ts';
import { childRoutes } from './child-accounts/routes.ts';
import type { IdentityContext } from './context.ts';
import { mfaRoutes } from './mfa/routes.ts';
import { clientRoutes } from './oauth/routes-clients.ts';
import { grantRoutes } from './oauth/routes-grants.ts';
import { socialLoginRoutes } from './social-login/routes.ts';
import { tokenRoutes } from './tokens/routes.ts';

describe('the description of the account API', () => {
  it('has every operation of the application and no other', () => {
    const context = {
      options: { publicUrl: 'http://localhost', providers: {}, oauth: {} },
      store: {},
      master: { derive: () => randomBytes(32) },
    } as unknown as IdentityContext;
    const apps = [
      signInRoutes(context),
      accountRoutes(context),
      keyRoutes(context),
      mfaRoutes(context),
      tokenRoutes(context, {} as never),
      childRoutes(context),
      adminRoutes(context),
      auditRoutes(context),
      setupRoutes(context),
      socialLoginRoutes(context),
      clientRoutes(context),
      grantRoutes(context),
      browserRoutes(context),
    ];
    const served = apps.flatMap(({ routes }) =>
      routes.flatMap(({ method, path }) => (method === 'ALL' ? [] : [`${method} ${path}`])),
    );
    assert.deepEqual(Object.keys(IDENTITY_OPERATIONS).sort(), [...new Set(served)].sort());
  });
});

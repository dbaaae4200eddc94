/** `gatehouse token`: mints and revokes access tokens without a session, for services, scripts and tests. */

import { parseUnitDurationMs } from '../base/units.ts';
import { introspect } from '../control/identity/tokens/introspect.ts';
import { mintToken, revokeIssued } from '../control/identity/tokens/issued.ts';
import { EXIT } from './command.ts';
import {
  type CommonValues,
  identityCommand,
  listOf,
  RefusedError,
  standardInput,
  UsageError,
  withIdentity,
} from './identity-common.ts';

interface Values extends CommonValues {
  readonly user?: string;
  readonly scopes?: string;
  readonly roles?: string;
  readonly plan?: string;
  readonly mfa?: boolean;
  readonly ttl?: string;
}

export const runToken = identityCommand<Values>(
  async (values, [action = '', id = ''], io) =>
    await withIdentity(values.config, io, async (context) => {
      switch (action) {
        case '': {
          if (values.user === undefined) throw new UsageError('token: --user is needed');
          const ttlMs = parseUnitDurationMs(values.ttl ?? '1h');
          if (ttlMs === undefined || ttlMs < 10_000)
            throw new UsageError(`--ttl must be a time such as 15m, not "${values.ttl}"`);
          const minted = await mintToken(context, {
            subject: values.user,
            scopes: listOf(values.scopes),
            ...(values.roles === undefined ? {} : { roles: listOf(values.roles) }),
            plan: values.plan,
            mfaVerified: values.mfa === true,
            ttlMs,
            createdBy: 'command line',
          });
          const { token, jti, expiresIn, subject } = minted;
          io.out(
            values.json
              ? `${JSON.stringify({ accessToken: token, tokenType: 'Bearer', jti, expiresIn, subject })}\n`
              : `${token}\n`,
          );
          return 0;
        }
        case 'revoke':
          if (id === '') throw new UsageError('token revoke: which jti?');
          if (!(await revokeIssued(context, id, 'command line')))
            throw new RefusedError(`there is no living token "${id}"`);
          return 0;
        case 'check': {
          const found = await introspect(context, (await standardInput()).trim());
          io.out(`${JSON.stringify(found, null, values.json ? 0 : 2)}\n`);
          return found.active ? EXIT.ok : EXIT.notFound;
        }
        case 'rotate':
          io.out(`${await context.signingKeys.rotate()}\n`);
          return 0;
        default:
          throw new UsageError(`token: there is no "${action}"`);
      }
    }),
);

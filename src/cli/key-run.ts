/** `gatehouse key`: API keys from the command line. */
import { cidrProblem } from '../base/ip.ts';
import { parseUnitDurationMs } from '../base/units.ts';
import { accessOf } from '../control/identity/accounts/access.ts';
import { revokeKeys } from '../control/identity/accounts/users.ts';
import { createKey, publicKey, rotateKey } from '../control/identity/api-keys/manage.ts';
import {
  type CommonValues,
  identityCommand,
  listOf,
  RefusedError,
  UsageError,
  withIdentity,
} from './identity-common.ts';
import { keyTable } from './key-table.ts';
import { find } from './user-run.ts';

interface Values extends CommonValues {
  readonly user?: string;
  readonly name?: string;
  readonly scopes?: string;
  readonly roles?: string;
  readonly ttl?: string;
  readonly addresses?: string;
  readonly grace?: string;
}

export const runKey = identityCommand<Values>(
  async (values, [action = '', id = ''], io) =>
    await withIdentity(values.config, io, async (context) => {
      const { store, audit } = context;
      const made = (key: string, row: Parameters<typeof publicKey>[0]): number => {
        io.out(values.json ? `${JSON.stringify({ key, ...publicKey(row) })}\n` : `${key}\n`);
        return 0;
      };
      switch (action) {
        case 'create': {
          if (values.name === undefined) throw new UsageError('key create: --name is needed');
          const owner = await find(context, values.user ?? '');
          const access = await accessOf(context, store.db, owner);
          if (access === undefined) throw new RefusedError('the account is disabled');
          const addresses = listOf(values.addresses);
          const problem = addresses.map(cidrProblem).find((each) => each !== undefined);
          if (problem !== undefined) throw new UsageError(`--addresses: ${problem}`);
          const fresh = {
            name: values.name,
            scopes: listOf(values.scopes),
            roles: listOf(values.roles),
            addresses,
            ttlMs: timeOf('--ttl', values.ttl),
          };
          const { key, row } = await store.transaction(async (trx) => {
            const created = await createKey(context, trx, owner.id, access, fresh);
            await audit.append(trx, { actor: 'command line', action: 'key.created', target: created.row.id });
            return created;
          });
          return made(key, row);
        }
        case 'list': {
          const owner = await find(context, values.user ?? '');
          const rows = await store.db
            .selectFrom('api_keys')
            .selectAll()
            .where('user_id', '=', owner.id)
            .orderBy('created_at')
            .execute();
          const keys = rows.map(publicKey);
          io.out(values.json ? `${JSON.stringify(keys)}\n` : `${keyTable(keys)}\n`);
          return 0;
        }
        case 'rotate': {
          const owner = await find(context, values.user ?? '');
          const { key, row } = await store.transaction(async (trx) => {
            const rotated = await rotateKey(context, trx, id, owner.id, timeOf('--grace', values.grace) ?? 0);
            await audit.append(trx, { actor: 'command line', action: 'key.rotated', target: rotated.row.id });
            return rotated;
          });
          return made(key, row);
        }
        case 'revoke': {
          if (id === '') throw new UsageError('key revoke: which key?');
          const ended = await store.transaction(async (trx) => {
            const ids = await revokeKeys(context, trx, { id });
            if (ids.length > 0) await audit.append(trx, { actor: 'command line', action: 'key.revoked', target: id });
            return ids;
          });
          if (ended.length === 0) throw new RefusedError(`there is no living key "${id}"`);
          return 0;
        }
        default:
          throw new UsageError(action === '' ? 'key: what?' : `key: there is no "${action}"`);
      }
    }),
);

function timeOf(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const ms = parseUnitDurationMs(text);
  if (ms === undefined) throw new UsageError(`${name} must be a time with its unit, such as 90d, not "${text}"`);
  return ms;
}

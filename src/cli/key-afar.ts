/**
 * `gatehouse key` of a gateway elsewhere, by its admin API and a token; on this machine key-run.ts opens the database.
 */
import { parseDurationMs } from '../base/units.ts';
import { type AdminAnswer, callAdmin, refusedCode } from './admin-call.ts';
import type { CommandContext } from './command.ts';
import { EXIT, UsageError } from './command.ts';
import { accountOrExit } from './find-account.ts';
import { keyTable } from './key-table.ts';

const KEYS = '/features/identity/keys';

export async function runKeyAfar(context: CommandContext): Promise<number> {
  const [action = '', id = ''] = context.positionals;
  const { options } = context;
  const listOf = (name: string): string[] =>
    String(options[name] ?? '')
      .split(/[\s,]+/)
      .filter(Boolean);
  const secondsOf = (name: string): number | null => {
    const text = options[name];
    if (typeof text !== 'string') return null;
    const ms = parseDurationMs(text);
    if (ms === undefined) throw new UsageError(`--${name} must be a time such as 90d, not "${text}"`);
    return Math.ceil(ms / 1_000);
  };
  if (action === 'create' || action === 'list') {
    if (typeof options['user'] !== 'string') throw new UsageError(`key ${action}: --user is needed`);
    if (action === 'create' && typeof options['name'] !== 'string')
      throw new UsageError('key create: --name is needed');
    const owner = await accountOrExit(context, options['user']);
    if (typeof owner === 'number') return owner;
    const path = `/features/identity/users/${encodeURIComponent(owner.id)}/keys`;
    if (action === 'list') return listed(context, await callAdmin(context, 'GET', path));
    const fresh = {
      name: options['name'],
      scopes: listOf('scopes'),
      roles: listOf('roles'),
      addresses: listOf('addresses'),
      expiresIn: secondsOf('ttl'),
    };
    return made(context, await callAdmin(context, 'POST', path, fresh));
  }
  if (action !== 'rotate' && action !== 'revoke')
    throw new UsageError(action === '' ? 'key: what?' : `key: there is no "${action}"`);
  if (id === '') throw new UsageError(`key ${action}: which key?`);
  const path = `${KEYS}/${encodeURIComponent(id)}`;
  if (action === 'rotate') {
    const graceSeconds = secondsOf('grace') ?? 0;
    return made(context, await callAdmin(context, 'POST', `${path}/rotate`, { graceSeconds }));
  }
  const answer = await callAdmin(context, 'DELETE', path);
  return answer.status === 200 ? EXIT.ok : refusedCode(context, answer);
}

function made(context: CommandContext, answer: AdminAnswer): number {
  if (answer.status !== 201) return refusedCode(context, answer);
  const { key } = answer.body as { readonly key: string };
  context.out(context.options['json'] === true ? `${answer.text}\n` : `${key}\n`);
  return EXIT.ok;
}

function listed(context: CommandContext, answer: AdminAnswer): number {
  if (answer.status !== 200) return refusedCode(context, answer);
  const { keys } = answer.body as { readonly keys: readonly Readonly<Record<string, unknown>>[] };
  context.out(context.options['json'] === true ? `${JSON.stringify(keys)}\n` : `${keyTable(keys)}\n`);
  return EXIT.ok;
}

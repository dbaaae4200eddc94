/**
 * `gatehouse cluster token`, `tokens` and `revoke`: what workers join with. Each is a call of the cluster's
 * API and goes by the rights of its token, so that it works from any machine. Called by cluster.ts.
 */
import { call, labelsOf, refused, shown, whole } from './cluster-call.ts';
import type { CommandContext } from './command.ts';
import { EXIT } from './command.ts';
import { table } from './table.ts';

interface ListedToken {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly uses_left: number | null;
  readonly created_by: string;
  readonly expires_at: string;
}

export async function makeToken(context: CommandContext): Promise<number> {
  const { uses = '1', for: seconds = '3600' } = context.options;
  const body = { uses: whole('uses', uses), ttl_ms: whole('for', seconds) * 1_000, labels: labelsOf(context) };
  const response = await call(context, 'POST', '/cluster/tokens', body);
  if (response.status !== 201) return refused(context, response);
  const made = JSON.parse(response.text) as { id: string; token: string; expires_at: string };
  context.out(context.options['json'] === true ? `${response.text}\n` : `${made.token}\n`);
  context.err(`shown once; it holds until ${made.expires_at}; revoke it by "cluster revoke ${made.id}"\n`);
  return EXIT.ok;
}

export function showTokens(context: CommandContext): Promise<number> {
  return shown<{ tokens: readonly ListedToken[] }>(context, '/cluster/tokens', ({ tokens }) =>
    table([
      ['ID', 'USES LEFT', 'UNTIL', 'MADE BY', 'LABELS'],
      ...tokens.map(({ id, uses_left, expires_at, created_by, labels }) => [
        id,
        uses_left === null ? 'any' : String(uses_left),
        expires_at,
        created_by,
        Object.entries(labels)
          .map(([key, value]) => `${key}=${value}`)
          .join(' ') || '-',
      ]),
    ]),
  );
}

export async function revokeToken(context: CommandContext, id: string): Promise<number> {
  const response = await call(context, 'DELETE', `/cluster/tokens/${encodeURIComponent(id)}`);
  if (response.status !== 204) return refused(context, response);
  context.out(`${id}: revoked\n`);
  return EXIT.ok;
}

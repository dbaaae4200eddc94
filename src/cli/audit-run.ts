/** `gatehouse audit`: checks the chain of the audit log, shows its head to note elsewhere, and lists entries. */
import { EXIT } from './command.ts';
import { type CommonValues, identityCommand, UsageError, withIdentity } from './identity-common.ts';
import { table } from './table.ts';

interface Values extends CommonValues {
  readonly expect?: string;
  readonly last?: string;
  readonly action?: string;
}

export const runAudit = identityCommand<Values>(
  async (values, [action = ''], io) =>
    await withIdentity(values.config, io, async (context) => {
      switch (action) {
        case 'verify': {
          const verdict = await context.audit.verify(expectation(values.expect));
          const { broken, entries } = verdict;
          const words =
            broken === null ? `${entries} entries, the chain is whole` : `broken at entry ${broken.seq}: ${broken.why}`;
          io.out(values.json ? `${JSON.stringify(verdict)}\n` : `${words}\n`);
          return broken === null ? EXIT.ok : EXIT.failed;
        }
        case 'head': {
          const head = await context.audit.head();
          io.out(values.json ? `${JSON.stringify(head)}\n` : `${head.seq}:${head.mac}\n`);
          return 0;
        }
        case 'list': {
          const last = Number(values.last ?? '50');
          if (!Number.isInteger(last) || last < 1 || last > 10_000)
            throw new UsageError(`--last must be from 1 to 10000, not "${values.last}"`);
          let query = context.store.db.selectFrom('audit_log').selectAll().orderBy('seq', 'desc').limit(last);
          if (values.action !== undefined) query = query.where('action', '=', values.action);
          const rows = (await query.execute()).reverse();
          const lines = rows.map((row) => [
            String(row.seq),
            new Date(row.at).toISOString(),
            row.action,
            row.actor,
            row.target,
            row.address,
          ]);
          const json = rows
            .map(({ mac: _, ...row }) => JSON.stringify({ ...row, detail: JSON.parse(row.detail) as unknown }))
            .join('\n');
          io.out(
            `${values.json ? json : table([['SEQ', 'TIME', 'ACTION', 'ACTOR', 'TARGET', 'ADDRESS'], ...lines])}\n`,
          );
          return 0;
        }
        default:
          throw new UsageError(action === '' ? 'audit: what?' : `audit: there is no "${action}"`);
      }
    }),
);

export function expectation(text: string | undefined): { seq: number; mac: string } | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d+):([A-Za-z0-9_-]*)$/.exec(text);
  if (match === null) throw new UsageError('--expect must read SEQ:MAC, as "audit head" shows it');
  return { seq: Number(match[1]), mac: match[2] ?? '' };
}

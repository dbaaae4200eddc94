/** `gatehouse usage`: what an account has used of its quotas, and exports for billing. */

import { ADMIN_OPTIONS } from './admin-call.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT, JSON_OPTION, UsageError } from './command.ts';
import { messageIn } from './error-message.ts';
import { callFeature } from './feature-call.ts';
import { findAccount } from './find-account.ts';

interface ShownUsage {
  readonly quota: string;
  readonly period: string;
  readonly end: string;
  readonly used: number;
  readonly limit: number | null;
  readonly remaining: number | null;
}

export const usage: Command = {
  name: 'usage',
  summary: 'show what an account used of its quotas, or export a period for billing',
  usage: ['show ACCOUNT [--json]', 'export QUOTA PERIOD [--format csv|json] [--partial]'],
  description: `Talks to a running gateway. ACCOUNT is a user name, an email or an id. PERIOD is a day, week or month as the quota counts them: 2026-07-01, 2026-W27, 2026-07. An export of a period that has been over for 15 minutes is the same each time; --partial exports one that is not over.

  gatehouse usage export stories 2026-07-01 --format csv > stories.csv

Exit codes: 0 done, 2 the command line is wrong, 3 no gateway answers, 4 no such account or quota, 5 refused.`,
  options: {
    format: { type: 'string', value: 'csv|json', meaning: 'of an export; default json' },
    partial: { type: 'boolean', meaning: 'export a period that is not over' },
    ...ADMIN_OPTIONS,
    json: JSON_OPTION,
  },
  arguments: { min: 2, max: 3 },
  async run(context) {
    const [action, first, second] = context.positionals;
    if (action === 'show' && first !== undefined && second === undefined) return await show(context, first);
    if (action === 'export' && first !== undefined && second !== undefined)
      return await exportPeriod(context, first, second);
    throw new UsageError('say show ACCOUNT or export QUOTA PERIOD');
  },
};

async function show(context: CommandContext, named: string): Promise<number> {
  const found = await findAccount(context, named);
  const account = found?.id ?? named;
  const query = new URLSearchParams({ account, ...(found?.plan === undefined ? {} : { plan: found.plan }) });
  const { status, text } = await callFeature(context, 'limits', 'GET', `/usage?${query}`);
  if (status !== 200) return refused(context, status, text);
  const { quotas } = JSON.parse(text) as { quotas: readonly ShownUsage[] };
  if (found === null && quotas.every(({ used }) => used === 0) && !(await hasEverUsed(context, account))) {
    context.err(
      `there is no account "${named}", and no caller of that name has used anything; an account is named by its user name, email or id, and a caller of an outside issuer as limits count it\n`,
    );
    return EXIT.notFound;
  }
  if (context.options['json'] === true) context.out(`${JSON.stringify(quotas, null, 2)}\n`);
  else if (quotas.length === 0) context.out('no quotas are defined\n');
  else {
    for (const { quota, period, used, limit, remaining, end } of quotas) {
      const left = limit === null ? 'unlimited' : `of ${limit}, ${remaining} left`;
      context.out(`${quota}  ${period}  ${used} used ${left}, until ${end}\n`);
    }
  }
  return EXIT.ok;
}

async function hasEverUsed(context: CommandContext, account: string): Promise<boolean> {
  const { status, text } = await callFeature(
    context,
    'limits',
    'GET',
    `/usage/history?${new URLSearchParams({ account })}`,
  );
  return status !== 200 || (JSON.parse(text) as { periods: readonly unknown[] }).periods.length > 0;
}

async function exportPeriod(context: CommandContext, quota: string, period: string): Promise<number> {
  const { format = 'json', partial } = context.options;
  if (format !== 'csv' && format !== 'json') throw new UsageError('--format is csv or json');
  const query = new URLSearchParams({ quota, period, format, ...(partial === true ? { partial: 'true' } : {}) });
  const { status, text } = await callFeature(context, 'limits', 'GET', `/usage/export?${query}`);
  if (status !== 200) return refused(context, status, text);
  context.out(text);
  return EXIT.ok;
}

function refused(context: CommandContext, status: number, text: string): number {
  context.err(`${messageIn(text)}\n`);
  return status === 404 ? EXIT.notFound : EXIT.failed;
}

/** `gatehouse limit`: how much of its limits a caller has left, and forgetting what was counted. */
import { ADMIN_OPTIONS, callAdmin, refusedCode } from './admin-call.ts';
import type { Command, CommandContext, CommandOption } from './command.ts';
import { EXIT, JSON_OPTION, UsageError } from './command.ts';
import { table } from './table.ts';

interface ShownLimit {
  readonly by: string;
  readonly limit: string;
  readonly plan: string | null;
  readonly remaining: number;
  readonly resetMs: number;
  readonly retryMs: number;
  readonly routes: readonly string[];
}

const text = (value: string, meaning: string): CommandOption => ({ type: 'string', value, meaning });

export const limit: Command = {
  name: 'limit',
  summary: 'show how much of its limits a caller has left, or forget what was counted',
  usage: [
    'look ADDRESS [--route ID] [--json]',
    'look --user ID [--key ID] [--plan NAME]',
    'reset ADDRESS --reason TEXT',
  ],
  description: `Talks to a running gateway. Limits count by address, by user, by API key or by a field of the request; name what a request of the caller would have. What is counted in Redis is looked at and forgotten there, for all gateways.

  gatehouse limit look 203.0.113.7
  gatehouse limit reset --user mia --reason "support case 7"

Exit codes: 0 done, 2 the command line is wrong, 3 no gateway answers, 4 no such route, 5 refused.`,
  options: {
    user: text('ID', 'id of the account, or subject of the token'),
    key: text('ID', 'id of the API key'),
    plan: text('NAME', 'plan of the caller; default the default plan'),
    method: text('METHOD', 'for limits of some methods only; default GET'),
    header: text('FIELD', '"Name: value", for limits by a field'),
    route: text('ID', 'only the limits of this route'),
    reason: text('TEXT', 'why, for those who wonder later'),
    ...ADMIN_OPTIONS,
    json: JSON_OPTION,
  },
  arguments: { min: 1, max: 2 },
  async run(context) {
    const [action, address] = context.positionals;
    const { user, key, reason } = context.options;
    if (action !== 'look' && action !== 'reset') throw new UsageError('say look or reset');
    if (address === undefined && user === undefined && key === undefined)
      throw new UsageError('say whose: an address, --user ID or --key ID');
    const caller = callerOf(context, address);
    if (action === 'look')
      return shown(context, await callAdmin(context, 'GET', `/limits?${new URLSearchParams(caller)}`));
    if (typeof reason !== 'string') throw new UsageError('--reason TEXT is missing');
    return shown(context, await callAdmin(context, 'POST', '/limits/reset', { ...caller, reason }));
  },
};

function callerOf({ options }: CommandContext, address: string | undefined): Record<string, string> {
  const { user, key: apiKey, plan, method, header, route } = options;
  const all = Object.entries({ address, user, apiKey, plan, method, header, route });
  return Object.fromEntries(all.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

function shown(context: CommandContext, answer: Awaited<ReturnType<typeof callAdmin>>): number {
  if (answer.status !== 200) return refusedCode(context, answer);
  const { limits } = answer.body as { readonly limits: readonly ShownLimit[] };
  if (context.options['json'] === true) context.out(`${JSON.stringify(limits, null, 2)}\n`);
  else if (limits.length === 0) context.out('no limit counts this caller\n');
  else
    context.out(
      `${table(
        limits.map(({ by, limit: most, plan, remaining, resetMs, retryMs, routes }) => [
          plan === null ? by : `${by} (plan ${plan})`,
          most,
          `${remaining} left`,
          retryMs > 0
            ? `refused for ${seconds(retryMs)}`
            : resetMs > 0
              ? `whole again in ${seconds(resetMs)}`
              : 'unused',
          routes.length > 3 ? `${routes.slice(0, 3).join(', ')} and ${routes.length - 3} more` : routes.join(', '),
        ]),
      )}\n`,
    );
  return EXIT.ok;
}

const seconds = (ms: number): string => `${Math.ceil(ms / 100) / 10} s`;

/** The limits of one caller over HTTP: how much is left of each, and forgetting what was counted. */
import * as z from 'zod';
import { messageOf } from '../../base/errors.ts';
import { canonicalAddress } from '../../base/ip.ts';
import type { LimitCaller } from '../../data/contract/limit-look.ts';
import { formatLimit } from '../../data/contract/limits.ts';
import { AdminError, type Kit, notThere, operation } from './kit.ts';
import type { LimitDesk, RouteLimit } from './limit-desk.ts';
import { limits } from './responses.ts';

const fields = {
  address: z
    .string()
    .refine((text) => canonicalAddress(text) !== undefined, 'an IP address such as 203.0.113.7')
    .optional()
    .describe('Address of the caller. Limits by user, key or field count by it where a request has none.'),
  user: z.string().min(1).max(300).optional().describe('Id of the account, or subject of the token.'),
  apiKey: z.string().min(1).max(300).optional().describe('Id of the API key (not the key itself).'),
  plan: z.string().min(1).max(50).optional().describe('Plan of the caller; absent: the default plan.'),
  method: z
    .string()
    .regex(/^[A-Z]{1,20}$/, 'a method such as GET')
    .prefault('GET')
    .describe('For limits of some methods only.'),
  header: z
    .string()
    .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n]*$/, '`Name: value`')
    .max(500)
    .optional()
    .describe('`Name: value`, for limits by a field of the request.'),
  route: z.string().max(256).optional().describe('Id of a route; absent: all.'),
};
const someone = 'at least one of address, user and apiKey';
const isSomeone = ({ address, user, apiKey }: { address?: unknown; user?: unknown; apiKey?: unknown }): boolean =>
  address !== undefined || user !== undefined || apiKey !== undefined;

/** Is every part of the key known? Somebody with an address alone is counted by it wherever an identity is missing. */
function isNamed(
  by: readonly string[],
  { address, user, apiKey }: Pick<Wanted, 'address' | 'user' | 'apiKey'>,
): boolean {
  if (by.includes('ip') && address === undefined) return false;
  const isAnonymous = user === undefined && apiKey === undefined;
  return isAnonymous || !by.includes('user') || user !== undefined;
}

type Wanted = Omit<z.output<z.ZodObject<typeof fields>>, 'reason'>;

export function limitRoutes(kit: Kit, desk: LimitDesk): void {
  const { host } = kit;
  const ask = async ({ route, ...wanted }: Wanted, reset: boolean): Promise<readonly RouteLimit[]> => {
    if (!isSomeone(wanted)) throw new AdminError(400, 'VALIDATION_ERROR', someone);
    const { snapshot } = host.configuration;
    if (route !== undefined && !snapshot.routes.some(({ id }) => id === route)) throw notThere('route');
    try {
      const found = await desk.ask(snapshot, callerOf(wanted), route, reset);
      return found.filter(({ by }) => isNamed(by.split('+'), wanted));
    } catch (error) {
      throw new AdminError(503, 'SERVICE_UNAVAILABLE', messageOf(error));
    }
  };
  const shown = (found: readonly RouteLimit[]) => ({
    limits: found.map(({ id: _, limit, windowMs, ...rest }) => ({
      ...rest,
      limit: formatLimit({ limit, windowMs }),
      max: limit,
    })),
  });

  operation(
    kit,
    {
      method: 'get',
      path: '/limits',
      tag: 'traffic',
      summary: 'How much of its limits a caller has left, and until when',
      role: 'viewer',
      query: z.object(fields),
      response: limits,
      errors: { 404: 'No such route', 503: 'Neither a worker nor Redis answers' },
    },
    async ({ query }) => shown(await ask(query, false)),
  );

  operation(
    kit,
    {
      method: 'post',
      path: '/limits/reset',
      tag: 'traffic',
      summary: 'Forgets what a caller has used of its limits; the response says how they stand now',
      role: 'operator',
      body: z.strictObject({
        ...fields,
        reason: z.string().min(1).max(200).describe('Why, for those who wonder later.'),
      }),
      response: limits,
      errors: { 404: 'No such route', 503: 'Neither a worker nor Redis answers' },
    },
    async ({ body, operator }) => {
      const { reason, ...wanted } = body;
      const found = await ask(wanted, true);
      const target = [wanted.user, wanted.apiKey, wanted.address].filter((each) => each !== undefined).join(' ');
      host.log.info('limits were reset', { by: operator.name, target, reason });
      await host.audit({
        actor: operator.name,
        action: 'admin.limits.reset',
        target,
        detail: { reason, ...(wanted.route === undefined ? {} : { route: wanted.route }) },
      });
      return shown(found);
    },
  );
}

function callerOf({ address = '', user, apiKey, plan, method, header }: Omit<Wanted, 'route'>): LimitCaller {
  const at = header?.indexOf(':') ?? -1;
  const headers = header === undefined ? {} : { [header.slice(0, at).toLowerCase()]: header.slice(at + 1).trim() };
  return { address, user: user ?? null, apiKey: apiKey ?? null, plan: plan ?? null, method, headers };
}

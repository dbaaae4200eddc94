/**
 * The key `rateLimit`, of the gateway, a service or a route: what may be written and what the policy gets. The level
 * decides whose counters are shared: on the gateway one counter for all routes, on a service one for its routes, on a
 * route its own; `name` overrides that.
 */
import * as z from 'zod';
import { duration } from '../../base/zod-units.ts';
import { limitSchema } from '../contract/limit-schema.ts';
import {
  ALGORITHMS,
  type KeyPart,
  type LimitBlock,
  type LimitPhase,
  MAX_LIMIT,
  MAX_WINDOW_MS,
  MIN_WINDOW_MS,
  needsNoIdentity,
  type RateLimitSettings,
  type RuleSpec,
  ruleProblem,
} from '../contract/limits.ts';
import { definePolicyOptions, type OptionContext, type RouteFacts } from '../contract/options.ts';

const KEYS = ['ip', 'user', 'apiKey', 'plan', 'method', 'route', 'service', 'all'] as const;
const READ = ['GET', 'HEAD', 'OPTIONS'];
const WRITE = ['POST', 'PUT', 'PATCH', 'DELETE'];
/** As in the Enhanced gateway's documentation: 1,000 requests in 15 minutes. */
const DEFAULT_MAX = 1_000;
const DEFAULT_WINDOW_MS = 900_000;

const key = z
  .union([
    z.enum(KEYS),
    z.string().regex(/^header:[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'must be a key such as user, ip or header:x-tenant'),
  ])
  .describe('`ip`, `user`, `apiKey`, `plan`, `method` (read or write), `route`, `service`, `all`, or `header:NAME`.');

const method = z.string().regex(/^[A-Z]+$/, 'must be a method in capitals, such as POST');

const block = z.strictObject({
  by: z
    .union([key, z.array(key).min(1).max(4)])
    .optional()
    .describe(
      'Whose counter a request goes to; several keys together make one. What a request lacks falls back: API key to user, user and header to address. IPv6 addresses count by /64. Default: `user` with `plan`, else `ip`.',
    ),
  limits: z.array(limitSchema).min(1).max(8).optional().describe('Limits that all hold: `[60/1m, 1000/1h]`.'),
  plan: z
    .boolean()
    .optional()
    .describe('Also the limits of the caller’s plan (key `plans`), counted over all routes together. Default false.'),
  max: z
    .int()
    .min(1)
    .max(MAX_LIMIT)
    .optional()
    .describe(
      'One limit in the form of other gateways: requests per `windowMs`. Default 1000 when `windowMs` is given.',
    ),
  windowMs: duration({ min: MIN_WINDOW_MS, max: MAX_WINDOW_MS })
    .optional()
    .describe('The window of `max`. Default 15 minutes when `max` is given.'),
  perMinute: z.int().min(1).max(MAX_LIMIT).optional().describe('One limit of so many requests a minute.'),
  algorithm: z.enum(ALGORITHMS).prefault('gcra').describe('For limits that do not name their own.'),
  methods: z
    .union([z.enum(['read', 'write']), z.array(method).min(1).max(16)])
    .optional()
    .describe(
      'Only for these methods; `read` is GET, HEAD and OPTIONS, `write` is POST, PUT, PATCH and DELETE. Default: all.',
    ),
  cost: z.int().min(1).max(10_000).prefault(1).describe('What one request counts for.'),
  costHeader: z
    .string()
    .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'must be a field name')
    .optional()
    .describe(
      'Field of the service’s answer with what the request cost in the end; the part above `cost` is charged then.',
    ),
  name: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'must be letters, digits, `_`, `.` or `-`')
    .optional()
    .describe('Limits with the same name share their counters, wherever they are written.'),
  phase: z
    .enum(['arrival', 'authenticate', 'limit'])
    .optional()
    .describe(
      '`limit` checks after authorization; `authenticate` before it, so that guessing is limited too; `arrival` before the route is known, on the gateway only and for every request. Default: `authenticate` when the key needs no identity, else `limit`.',
    ),
  message: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe('Message of its 429; `{plan}` is the plan of the caller, with `plan: true`. The first block decides.'),
  headers: z
    .enum(['all', 'legacy', 'standard', 'off'])
    .prefault('all')
    .describe(
      'Fields of the answer: `X-RateLimit-*` (legacy), `RateLimit` and `RateLimit-Policy` (standard). The first block decides.',
    ),
});

type Block = z.output<typeof block>;

export const rateLimitOptions = definePolicyOptions({
  key: 'rateLimit',
  schema: z
    .union([block, z.array(block).min(1).max(8)])
    .describe(
      'Limits of requests per time. Several blocks hold together; a request is charged to all of them or to none.',
    ),
  levels: ['gateway', 'service', 'route'],
  policy: 'rate-limit',
  compile(options, context, route) {
    const own = compileBlocks(options, context, route);
    const atGateway = context.path[0] === 'gateway' ? own : gatewayBlocks(context, route);
    // What is checked before the route is known holds for each of them, whatever it says itself.
    const before = only(atGateway, ({ phase }) => phase === 'arrival');
    const after = only(own, ({ phase }) => phase !== 'arrival');
    return [before, after].flatMap((settings) =>
      settings.blocks.length === 0 ? [] : [{ name: 'rate-limit', options: settings }],
    );
  },
});

type Written = Block | readonly Block[];

function compileBlocks(options: Written, context: OptionContext, route: RouteFacts): RateLimitSettings {
  const list = [options].flat() as readonly Block[];
  const at = (index: number): (string | number)[] => (Array.isArray(options) ? [index] : []);
  const blocks = list.flatMap((one, index) => {
    const compiled = compileBlock(one, context, route, at(index));
    return compiled === undefined ? [] : [compiled];
  });
  const shown = list[0]?.headers ?? 'all';
  const message = list[0]?.message;
  if (message?.includes('{plan}') && !list.some(({ plan }) => plan))
    context.problem('has {plan}, but no block has plan: true', { at: [...at(0), 'message'] });
  return {
    blocks,
    ...(message === undefined ? {} : { message }),
    legacyHeaders: shown === 'all' || shown === 'legacy',
    standardHeaders: shown === 'all' || shown === 'standard',
  };
}

/** The gateway's limits, for a route that has its own. */
function gatewayBlocks(context: OptionContext, route: RouteFacts): RateLimitSettings {
  const gateway = context.document?.['gateway'] as { readonly rateLimit?: Written | 'off' } | undefined;
  const written = gateway?.rateLimit;
  if (written === undefined || written === 'off') return { blocks: [], legacyHeaders: false, standardHeaders: false };
  const problem: OptionContext['problem'] = (message, detail) =>
    context.problem(`gateway.rateLimit: ${message}`, { ...detail, at: [] });
  return compileBlocks(written, { ...context, path: ['gateway', 'rateLimit'], problem }, route);
}

function only(
  { blocks, ...headers }: RateLimitSettings,
  isWanted: (block: RateLimitSettings['blocks'][number]) => boolean,
): RateLimitSettings {
  return { ...headers, blocks: blocks.filter(isWanted) };
}

function compileBlock(
  one: Block,
  context: OptionContext,
  route: RouteFacts,
  at: (string | number)[],
): RateLimitSettings['blocks'][number] | undefined {
  const rules = rulesOf(one, context, at);
  if (rules.length === 0 && one.plan !== true) {
    context.problem('limits nothing', { at, expected: '`limits`, `plan: true`, `max` or `perMinute`' });
    return undefined;
  }
  const names = one.by === undefined ? [one.plan === true ? 'user' : 'ip'] : [one.by].flat();
  const by = names.flatMap((name) => keyPart(name));
  const phase = one.phase ?? (needsNoIdentity(by) && one.plan !== true ? 'authenticate' : 'limit');
  checkPhase(phase, one, by, names, context, at);
  const scope = [
    one.name === undefined ? scopeOf(context, route) : `name:${one.name}`,
    ...(names.includes('route') ? [`route:${route.id}`] : []),
    ...(names.includes('service') ? [`service:${route.services.join(',')}`] : []),
  ].join(' ');
  const methods = one.methods === 'read' ? READ : one.methods === 'write' ? WRITE : (one.methods ?? []);
  const costHeader = one.costHeader?.toLowerCase() ?? null;
  const compiled: LimitBlock = { by, rules, plan: one.plan ?? false, methods, cost: one.cost, costHeader, scope };
  return { ...compiled, phase };
}

function rulesOf(one: Block, context: OptionContext, at: (string | number)[]): RuleSpec[] {
  const rules = (one.limits ?? []).map((limit) => limit(one.algorithm));
  const add = (limit: number, windowMs: number): void => {
    rules.push({ limit, windowMs, algorithm: one.algorithm, burst: limit });
  };
  if (one.max !== undefined || one.windowMs !== undefined)
    add(one.max ?? DEFAULT_MAX, one.windowMs ?? DEFAULT_WINDOW_MS);
  if (one.perMinute !== undefined) add(one.perMinute, 60_000);
  for (const rule of rules) {
    const problem = ruleProblem(rule);
    if (problem !== undefined) context.problem(problem, { at });
    if (rule.burst < one.cost || rule.limit < one.cost) {
      context.problem('every request costs more than the limit allows', { at: [...at, 'cost'], got: String(one.cost) });
    }
  }
  return rules;
}

function checkPhase(
  phase: LimitPhase,
  one: Block,
  by: readonly KeyPart[],
  names: readonly string[],
  context: OptionContext,
  at: (string | number)[],
): void {
  if (phase === 'limit') return;
  const where = [...at, 'phase'];
  if (!needsNoIdentity(by) || one.plan === true) {
    context.problem('the caller is not known yet in this phase', { at: where, got: phase, expected: 'limit' });
  }
  if (phase !== 'arrival') return;
  if (context.path[0] !== 'gateway') {
    context.problem('only limits of the gateway can be checked before the route is known', {
      at: where,
      got: phase,
      expected: 'authenticate or limit',
    });
  }
  if (names.includes('route') || names.includes('service')) {
    context.problem('the route is not known yet in this phase', { at: where, got: phase, expected: 'authenticate' });
  }
}

/** The place where a limit is written says who shares its counter. */
function scopeOf(context: OptionContext, route: RouteFacts): string {
  if (context.path[0] === 'gateway') return 'gateway';
  if (context.path[0] === 'services') return `service:${String(context.path[1])}`;
  return `route:${route.id}`;
}

function keyPart(name: string): KeyPart[] {
  if (name.startsWith('header:')) return [{ kind: 'header', name: name.slice('header:'.length).toLowerCase() }];
  // The place is part of the scope, not of the key.
  if (name === 'route' || name === 'service' || name === 'all') return [];
  return [{ kind: name as 'ip' | 'user' | 'apiKey' | 'plan' | 'method' }];
}

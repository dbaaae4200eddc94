/**
 * The keys `plans` and `limits`: what callers of each plan may use, and how counting is done: how much memory, what
 * when it is full, how several machines share counters. Per-route limits are the policy `rateLimit`.
 */
import * as z from 'zod';
import { duration, ratio, size } from '../../base/zod-units.ts';
import { limitSchema, planName } from '../../data/contract/limit-schema.ts';
import {
  type LimiterSettings,
  type OccasionSettings,
  type RedisLimitSettings,
  UNLIMITED_QUOTA,
} from '../../data/contract/limits.ts';
import { issuersOf } from '../admin-issuers.ts';
import { type BuiltinRoute, defineSection, OPERATOR_CALLS, type SectionContext } from '../config/section.ts';
import { DEFAULT_PLAN, mergePlans, type Plan, SHIPPED_PLANS } from './plans/plans.ts';

/** More would not fit the words of the limiter, which have room for 16 times the limit. */
const MAX_FACTOR = 16;

const moment = z
  .union([z.iso.datetime({ offset: true }), z.iso.date(), z.date()])
  .describe('A moment such as `2026-12-24T18:00:00+01:00`, or a date, which begins at midnight UTC.');

const occasion = z.strictObject({
  name: z.string().min(1).max(64).describe('What it is called in responses and logs.'),
  start: moment,
  end: moment,
  factor: z.number().min(0.1).max(MAX_FACTOR).prefault(1).describe('Limits and quotas times this.'),
  extra: z.int().min(0).max(1_000_000).prefault(0).describe('And so many more on top.'),
});

const planSchema = z.strictObject({
  limits: z
    .array(limitSchema)
    .max(8)
    .optional()
    .describe(
      'Limits that all hold, counted over all routes with `rateLimit: { plan: true }`. Default: those of the shipped plan of this name, else none.',
    ),
  quotas: z
    .record(z.string(), z.union([z.int().min(0).max(1_000_000_000), z.literal('unlimited')]))
    .optional()
    .describe('How much of each quota (key `quotas`) the plan has: `{ stories: 5 }`.'),
  occasions: z
    .array(occasion)
    .max(32)
    .optional()
    .describe('Times at which the plan has more: a launch, a holiday. What was used before stays counted.'),
});

export const plansSection = defineSection({
  at: 'top',
  key: 'plans',
  schema: z
    .record(planName, planSchema)
    .describe(
      'What callers may use, by plan. `standard`, `premium` and `enterprise` are shipped; a plan written here replaces what it names of the shipped one.',
    ),
  variables: [
    {
      name: 'RATE_LIMIT_DEFAULT',
      path: ['gateway', 'rateLimit', 'perMinute'],
      meaning: 'Requests a minute that each address may make, for every route without `rateLimit` of its own.',
      read: wholeNumber,
    },
    {
      name: 'RATE_LIMIT_WINDOW',
      path: ['gateway', 'rateLimit', 'windowMs'],
      meaning: 'Window of `RATE_LIMIT_MAX`, in milliseconds. Default 900000.',
      read: wholeNumber,
    },
    {
      name: 'RATE_LIMIT_MAX',
      path: ['gateway', 'rateLimit', 'max'],
      meaning: 'Requests per `RATE_LIMIT_WINDOW` that each address may make. Default 1000.',
      read: wholeNumber,
    },
  ],
  compile(options, context): Readonly<Record<string, Plan>> {
    const written = Object.entries(options ?? {}).map(([name, plan]) => {
      const occasions = plan.occasions?.map((each, i) => {
        const compiled = occasionSettings(each);
        if (!(compiled.startMs < compiled.endMs)) {
          context.problem('ends before it begins', { at: [name, 'occasions', i, 'end'], got: String(each.end) });
        }
        return compiled;
      });
      const quotas =
        plan.quotas &&
        Object.fromEntries(
          Object.entries(plan.quotas).map(([key, n]) => [key, n === 'unlimited' ? UNLIMITED_QUOTA : n]),
        );
      return [name, { limits: plan.limits?.map((limit) => limit('gcra')), quotas, occasions }] as const;
    });
    return mergePlans(Object.fromEntries(written));
  },
});

const redisOptions = z.strictObject({
  mode: z
    .enum(['exact', 'leased'])
    .prefault('exact')
    .describe(
      '`exact` asks Redis for each decision; `leased` lets each worker take small batches ahead: at most one batch per worker and caller above the limit.',
    ),
  fallback: z
    .enum(['local', 'open', 'closed'])
    .prefault('local')
    .describe(
      'While Redis is away: count on this machine alone (`local`), let all pass (`open`), refuse all with 503 (`closed`).',
    ),
  timeout: duration({ min: 1, max: 5_000 })
    .prefault('50ms')
    .describe('Longest wait for Redis per decision; then `fallback` decides.'),
  leaseShare: ratio({ min: 0.001, max: 0.5 })
    .prefault('5%')
    .describe('Largest batch that a worker takes ahead, as a share of the limit; at least 1.'),
  leaseTime: duration({ min: 100, max: 60_000 })
    .prefault('1s')
    .describe('How long a batch may be kept; what is left is then lost to the worker.'),
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9_.:-]{1,32}$/, 'must be letters, digits, `_`, `.`, `:` or `-`')
    .prefault('gatehouse')
    .describe('Keys in Redis begin with this. Gateways that share counters have the same.'),
});

/** `off` is what every other key calls it. */
const apiSwitch = z.union([z.boolean(), z.literal('off')]).prefault(true);

export const limitsOptions = z.strictObject({
  defaultPlan: planName.prefault(DEFAULT_PLAN).describe('Plan of callers that have none, or one that is not known.'),
  memory: size({ min: 4_096, max: 4 * 1024 ** 3 })
    .prefault('32mb')
    .describe(
      'Memory of the counters, shared by all workers: 64mb hold a million callers under two limits. Read at start.',
    ),
  overflow: z
    .enum(['deny', 'allow'])
    .prefault('deny')
    .describe('When it is full: refuse callers that are not counted yet with 503, or let them pass uncounted.'),
  publishPlans: apiSwitch.describe('Tell anybody who asks what each plan allows, at `/.well-known/gatehouse/plans`.'),
  usageApi: apiSwitch.describe(
    'With `quotas` or `plans`: callers see what they have used at `/api/v1/usage`, administrators export it. Not added where a route of the document has `builtin: limits`, or nothing could authenticate anybody.',
  ),
  bansApi: apiSwitch.describe(
    'With `abuse`: administrators list, add and lift bans at `/api/v1/bans`. Not added where `usageApi` is not.',
  ),
  adminIssuers: z
    .array(z.string().min(1).max(1_000))
    .max(50)
    .prefault([])
    .describe(
      'Names of `issuers` whose tokens with the role `admin` or the scope `limits:admin` administer usage and bans. Default: none; accounts of the identity service and API keys may.',
    ),
  redis: redisOptions.prefault({}).describe('How machines share counters when `stores.redis` is set.'),
});

export interface LimitsPlan {
  readonly memoryBytes: number;
  readonly defaultPlan: string;
  readonly settings: LimiterSettings;
  /** Values of `iss`. */
  readonly adminIssuers: readonly string[];
  /** Without the URL's secret id, which comes from `stores`. */
  readonly redis: Omit<RedisLimitSettings, 'url'>;
}

const SERVICE = 'builtin:limits';

const PLANS_ROUTE: BuiltinRoute = {
  id: `${SERVICE}/plans`,
  service: SERVICE,
  path: '/.well-known/gatehouse/plans',
  methods: ['GET', 'HEAD'],
  movedBy: 'limits.publishPlans',
};

const USAGE_ROUTE: BuiltinRoute = {
  id: `${SERVICE}/usage`,
  service: SERVICE,
  path: '/api/v1/usage/*',
  methods: ['GET', 'HEAD'],
  movedBy: 'limits.usageApi',
  authenticated: true,
};

const BANS_ROUTE: BuiltinRoute = {
  id: `${SERVICE}/bans`,
  service: SERVICE,
  path: '/api/v1/bans/*',
  methods: ['GET', 'HEAD'],
  movedBy: 'limits.bansApi',
  authenticated: true,
  limits: [{ ...OPERATOR_CALLS, scope: `${SERVICE} operators` }],
};

const BAN_CHANGES_ROUTE: BuiltinRoute = {
  ...BANS_ROUTE,
  id: `${SERVICE}/ban-changes`,
  methods: ['POST', 'DELETE'],
  stepUp: true,
};

export const limitsSection = defineSection({
  at: 'top',
  key: 'limits',
  schema: limitsOptions.describe(
    'How limits, quotas and bans are counted and reported. `rateLimit`, `quotas`, `plans` and `abuse` say what is limited.',
  ),
  compile(options, context): LimitsPlan {
    const written = options ?? limitsOptions.parse({});
    const { defaultPlan, memory, overflow, redis } = written;
    const plans = (context.document?.['plans'] ?? {}) as object;
    addRoutes(written, options !== undefined, context);
    if (!Object.hasOwn(SHIPPED_PLANS, defaultPlan) && !Object.hasOwn(plans, defaultPlan)) {
      context.problem('there is no such plan', { at: ['defaultPlan'], got: defaultPlan });
    }
    return {
      memoryBytes: memory,
      defaultPlan,
      settings: { overflow },
      adminIssuers: issuersOf(written.adminIssuers, context),
      redis: {
        mode: redis.mode,
        fallback: redis.fallback,
        timeoutMs: redis.timeout,
        leaseShare: redis.leaseShare,
        leaseMs: redis.leaseTime,
        prefix: redis.prefix,
      },
    };
  },
});

/** Parts that a configuration does not use are absent, so that they cost nothing. */
function addRoutes(
  { publishPlans, usageApi, bansApi }: z.output<typeof limitsOptions>,
  isWritten: boolean,
  context: SectionContext,
): void {
  const has = (key: string): boolean => context.document?.[key] !== undefined;
  // Only where limits are configured; elsewhere the shipped plans bind no caller.
  if (publishPlans === true && (isWritten || has('plans'))) context.addRoute(PLANS_ROUTE);
  const routes = (context.document?.['routes'] ?? []) as readonly { readonly builtin?: string }[];
  if (routes.some(({ builtin }) => builtin === 'limits' || builtin === SERVICE)) {
    context.addService(SERVICE);
    return;
  }
  if (usageApi === true && (has('quotas') || has('plans'))) context.addRoute(USAGE_ROUTE);
  if (bansApi === true && has('abuse')) {
    context.addRoute(BANS_ROUTE);
    context.addRoute(BAN_CHANGES_ROUTE);
  }
}

function occasionSettings({ name, start, end, factor, extra }: z.output<typeof occasion>): OccasionSettings {
  return { name, startMs: momentMs(start), endMs: momentMs(end), factor, extra };
}

function momentMs(value: string | Date): number {
  return value instanceof Date ? value.getTime() : Date.parse(value);
}

/** A variable's text is a number where it looks like one; the schema says what else is wrong with it. */
function wholeNumber(text: string): unknown {
  return /^\d+$/.test(text) ? Number(text) : text;
}

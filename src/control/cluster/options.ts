/**
 * The section `cluster`: gateways and workers that know each other through one store. Adds the routes of the API:
 * `<path>/cluster` and `<path>/nodes` for callers that the gateway authenticates, `<path>/cluster/join` and
 * `<path>/cluster/self` for nodes, which bring tokens of the cluster.
 */
import { hostname } from 'node:os';
import * as z from 'zod';
import { sqlUrl } from '../../base/store-urls.ts';
import { duration, MAX_TIMER_MS, ratio } from '../../base/zod-units.ts';
import { limitSchema } from '../../data/contract/limit-schema.ts';
import { issuersOf } from '../admin-issuers.ts';
import { defineSection, OPERATOR_CALLS } from '../config/section.ts';
import type { ElectionSettings } from './election.ts';
import { electionOptions, type LeasePlan, leasePlan } from './lease-options.ts';
import type { CertifiedNode, MemberSettings } from './members.ts';
import type { RolloutSettings } from './rollout.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const EXPECTED_NAME = 'must be 1 to 63 letters, digits, ".", "_" and "-", beginning with a letter or digit';
const span = (min: number) => ({ min, max: MAX_TIMER_MS });

export const labels = z
  .record(z.string().regex(NAME, EXPECTED_NAME), z.string().max(128))
  .refine((entries) => Object.keys(entries).length <= 32, 'must be at most 32 labels');

const rollout = z
  .strictObject({
    canary: ratio({ min: 0.001, max: 1 })
      .prefault('10%')
      .describe('Share of the gateways that run a new version first; at least one does.'),
    watch: duration({ min: 0, max: MAX_TIMER_MS })
      .prefault('60s')
      .describe('How long the canary is compared with the others before they follow.'),
    judgeWithin: duration({ min: 0, max: MAX_TIMER_MS })
      .optional()
      .describe(
        'Longest time that the canary is watched until it has had `minRequests`; a version that could not be judged is rolled back then. Default: after `watch` it spreads, and the rollout says that it was not judged.',
      ),
    waveWatch: duration({ min: 0, max: MAX_TIMER_MS })
      .optional()
      .describe('How long each wave is compared before the next one, the last one too. Default: half of `watch`.'),
    timeout: duration(span(1_000))
      .prefault('30s')
      .describe('Longest time that all nodes may take to check a version, and a step to apply it.'),
    waves: z
      .array(ratio({ min: 0.001, max: 1 }))
      .min(1)
      .max(20)
      .prefault(['50%', '100%'])
      .describe('Shares of all gateways that follow the canary, the last one 100%.'),
    minRequests: z
      .int()
      .min(1)
      .max(1_000_000)
      .prefault(50)
      .describe(
        'Requests on the canary that it takes to judge a version. Below that, only five faults or more undo it, where luck is ten times less likely than `significance` says.',
      ),
    significance: z
      .number()
      .min(0.000001)
      .max(0.5)
      .prefault(0.01)
      .describe("Chance of luck (Fisher's exact test) below which more faults on the canary undo the rollout."),
    latencyRatio: z
      .number()
      .min(1)
      .max(1_000)
      .prefault(2)
      .describe(
        "A request of the canary is slow when it takes this many times the others' 99th percentile; more slow ones than `significance` allows undo the rollout.",
      ),
  })
  .check(({ value, issues }) => {
    if (value.judgeWithin !== undefined && value.judgeWithin < value.watch) {
      const params = { expected: `at least watch (${value.watch} ms)` };
      issues.push({ code: 'custom', path: ['judgeWithin'], input: value.judgeWithin, message: 'out of order', params });
    }
    if (value.waves.at(-1) === 1 && value.waves.every((share, i) => share > (value.waves[i - 1] ?? 0))) return;
    const expected = 'shares that grow and end with 100%';
    issues.push({ code: 'custom', path: ['waves'], input: value.waves, message: 'out of order', params: { expected } });
  });

const clusterOptions = z
  .strictObject({
    name: z.string().regex(NAME, EXPECTED_NAME).describe('Name of the cluster; its nodes all say the same.'),
    node: z
      .string()
      .regex(NAME, EXPECTED_NAME)
      .optional()
      .describe('Name of this node, unlike every other. Default: the name of the host.'),
    url: z.url().optional().describe('Where other nodes reach this one, for the list of members. Default: none.'),
    zone: z.string().min(1).max(64).optional().describe('Zone of this node. Default: none.'),
    labels: labels.prefault({}).describe('Labels of this node.'),
    store: sqlUrl()
      .optional()
      .describe(
        'Database that the nodes share: one SQLite file on one machine, PostgreSQL for several. Default: `stores.sql`.',
      ),
    election: electionOptions
      .optional()
      .describe('Where the queen is elected. Default: in `store`, like everything else of the cluster.'),
    path: z
      .string()
      .regex(/^\/[A-Za-z0-9/_.-]*[A-Za-z0-9]$/, 'must be a path such as /api/v1')
      .prefault('/api/v1')
      .describe('Path under which `/cluster` and `/nodes` are served.'),
    adminIssuers: z
      .array(z.string().min(1))
      .prefault([])
      .describe(
        'Outside issuers whose roles and scopes count for this API. Default: only accounts and keys of the gateway.',
      ),
    certified: z
      .record(
        z.string().regex(NAME, EXPECTED_NAME),
        z.strictObject({
          labels: labels.prefault({}).describe('Labels that the node has, whatever it says itself.'),
          zone: z.string().min(1).max(64).optional().describe('Zone of the node. Default: what it says itself.'),
        }),
      )
      .prefault({})
      .describe('Workers that join by client certificate, by the name in it: what others may trust about them.'),
    lease: duration(span(1_000)).prefault('6s').describe('How long the queen holds its office without renewing it.'),
    heartbeat: duration(span(100)).prefault('3s').describe('How often gateways report, and workers should.'),
    suspectAfter: duration(span(500)).prefault('10s').describe('Silence after which a node gets no new tasks.'),
    goneAfter: duration(span(1_000)).prefault('30s').describe('Silence after which the tasks of a node go to others.'),
    forgetAfter: duration(span(60_000))
      .prefault('7d')
      .describe(
        'Silence after which a node that left or is gone is forgotten, with its token: a gateway that comes back later is a new node, a worker must join again.',
      ),
    maxNodes: z
      .int()
      .min(1)
      .max(10_000)
      .prefault(1_000)
      .describe('Most nodes, gateways and workers together; those that left or are gone do not count.'),
    addressLimit: limitSchema
      .transform((limit) => {
        const { limit: calls, windowMs, burst } = limit('gcra');
        return { limit: calls, window: windowMs, burst };
      })
      .prefault({ limit: OPERATOR_CALLS.limit, window: OPERATOR_CALLS.windowMs, burst: OPERATOR_CALLS.burst })
      .describe(
        'What one address (IPv6: its /64) may ask of the API for operators and applications, whatever credentials it brings; then 429. Calls of nodes are limited apart.',
      ),
    rollout: rollout.prefault({}).describe('How a change of configuration spreads.'),
  })
  .check(({ value, issues }) => {
    const wrong = (path: string, input: number, expected: string): void => {
      issues.push({ code: 'custom', path: [path], input, message: 'out of order', params: { expected } });
    };
    if (value.suspectAfter < 2 * value.heartbeat)
      wrong('suspectAfter', value.suspectAfter, `at least twice heartbeat (${2 * value.heartbeat} ms)`);
    if (value.goneAfter <= value.suspectAfter)
      wrong('goneAfter', value.goneAfter, `more than suspectAfter (${value.suspectAfter} ms)`);
    if (value.forgetAfter <= value.goneAfter)
      wrong('forgetAfter', value.forgetAfter, `more than goneAfter (${value.goneAfter} ms)`);
  });

export interface ClusterPlan {
  readonly name: string;
  readonly node: string;
  readonly url: string | null;
  readonly zone: string | null;
  readonly labels: Readonly<Record<string, string>>;
  /** Secret id of the URL; null: the SQL store of the gateway. */
  readonly store: string | null;
  /** Null: in the store. */
  readonly leases: LeasePlan | null;
  readonly path: string;
  readonly adminIssuers: readonly string[];
  readonly certified: Readonly<Record<string, CertifiedNode | undefined>>;
  readonly heartbeatMs: number;
  readonly election: ElectionSettings;
  readonly members: MemberSettings;
  readonly rollout: RolloutSettings;
}

export const BUILTIN_CLUSTER = 'builtin:cluster';

export const clusterSection = defineSection({
  at: 'top',
  key: 'cluster',
  schema: clusterOptions.describe('Several gateways and workers that know each other. Default: this process alone.'),
  variables: [
    { name: 'GATEHOUSE_NODE', path: ['cluster', 'node'], meaning: 'Name of this node in the cluster.' },
    { name: 'GATEHOUSE_ZONE', path: ['cluster', 'zone'], meaning: 'Zone of this node in the cluster.' },
  ],
  /** Null: no cluster. */
  compile(options, context): ClusterPlan | null {
    if (options === undefined) return null;
    const { path, rollout: steps } = options;
    const route = { service: BUILTIN_CLUSTER, movedBy: 'cluster.path', isOperations: true };
    context.addRoute({ ...route, id: `${BUILTIN_CLUSTER}/join`, path: `${path}/cluster/join`, methods: ['POST'] });
    context.addRoute({ ...route, id: `${BUILTIN_CLUSTER}/self`, path: `${path}/cluster/self/*` });
    const { limit, window: windowMs, burst } = options.addressLimit;
    const limits = [{ limit, windowMs, burst, scope: `${BUILTIN_CLUSTER} operators` }];
    for (const area of ['cluster', 'nodes'])
      for (const suffix of ['', '/*'])
        context.addRoute({
          ...route,
          id: `${BUILTIN_CLUSTER}/${area}${suffix}`,
          path: `${path}/${area}${suffix}`,
          authenticated: true,
          limits,
        });
    return {
      name: options.name,
      node: options.node ?? hostname().slice(0, 63),
      url: options.url ?? null,
      zone: options.zone ?? null,
      labels: options.labels,
      store: options.store === undefined ? null : context.secret('cluster.store', options.store),
      leases: leasePlan(options.name, options.election, context),
      path,
      adminIssuers: issuersOf(options.adminIssuers, context),
      certified: Object.fromEntries(
        Object.entries(options.certified).map(([name, { labels: given, zone }]) => [
          name,
          { labels: given, zone: zone ?? null },
        ]),
      ),
      heartbeatMs: options.heartbeat,
      election: { leaseMs: options.lease, renewMs: options.lease / 3 },
      members: {
        suspectMs: options.suspectAfter,
        goneMs: options.goneAfter,
        maxNodes: options.maxNodes,
        forgetMs: options.forgetAfter,
      },
      rollout: {
        canaryShare: steps.canary,
        watchMs: steps.watch,
        judgeWithinMs: steps.judgeWithin ?? null,
        waveWatchMs: steps.waveWatch ?? steps.watch / 2,
        stepTimeoutMs: steps.timeout,
        waves: steps.waves,
        minRequests: steps.minRequests,
        significance: steps.significance,
        latencyRatio: steps.latencyRatio,
      },
    };
  },
});

/** Routes, services and breakers over HTTP: look, explain, hold open, reset. And the level of the log. */
import * as z from 'zod';
import { CELLS, classicBuckets } from '../../base/duration-cells.ts';
import { LOG_AREAS } from '../../base/log.ts';
import type { Snapshot } from '../../data/contract/snapshot.ts';
import { gatewayStatus } from '../ops/sources.ts';
import { endByHand, forMs, reason, setByHand } from './by-hand.ts';
import { withTraffic } from './instance-traffic.ts';
import { AdminError, type Kit, notThere, operation } from './kit.ts';
import { pick, pickServices } from './pick.ts';
import { troubles } from './problems.ts';
import { quantileMs } from './recorder.ts';
import { adminStatus, explanation, override, routes, servicesWithTraffic } from './responses.ts';

const breakerTarget = z.object({
  id: z.string().min(1).max(500).describe('Name of the service, or id of the instance where instances have breakers.'),
});
/** More are never sent at once. */
const MOST = 10_000;
const picked = {
  q: z.string().max(300).prefault('').describe('Only those that contain this text, in upper or lower case.'),
  limit: z.coerce.number().int().min(1).max(MOST).prefault(MOST).describe('How many at most.'),
};
const area = z.enum(LOG_AREAS).describe('The area; absent: what has no level of its own.');

export function trafficRoutes(kit: Kit): void {
  const { host } = kit;
  const status = () => gatewayStatus(host.opsSources());
  const snapshot = (): Snapshot => host.configuration.snapshot;

  operation(
    kit,
    {
      method: 'get',
      path: '/status',
      tag: 'gateway',
      summary: 'All that the gateway knows of itself, and what is wrong at the moment',
      role: 'viewer',
      query: z.object({
        brief: z
          .enum(['true', 'false'])
          .prefault('false')
          .describe('`true` leaves out services, overrides, and features but for `objectives` and `openapi`.'),
      }),
      response: adminStatus,
    },
    ({ query }) => {
      const sources = host.opsSources();
      const found = gatewayStatus(sources);
      const overrides = host.overrides.list();
      const wrong = troubles(
        found,
        overrides,
        sources.features.flatMap((feature) => feature.troubles ?? []),
      );
      if (query.brief === 'false') return { ...found, overrides, troubles: wrong };
      const { services: _, features, ...rest } = found;
      const { objectives = [], openapi = null } = features;
      return { ...rest, objectives, openapi, troubles: wrong };
    },
  );

  operation(
    kit,
    {
      method: 'get',
      path: '/routes',
      tag: 'traffic',
      summary: 'Every route with what it does and what it has counted, or those that contain a text',
      role: 'viewer',
      query: z.object(picked),
      response: routes,
    },
    ({ query }) => {
      const { routes: all } = snapshot();
      const { found, matching } = pick(all, query, searchedText);
      return { routes: found.map((route) => routeReport(kit, route)), matching, total: all.length };
    },
  );

  operation(
    kit,
    {
      method: 'post',
      path: '/routes/explain',
      tag: 'traffic',
      summary: 'Which route takes a request, and why the others do not',
      role: 'viewer',
      body: z.strictObject({
        method: z.string().max(30),
        url: z.string().max(8_192).describe('A URL, or a path with or without a query.'),
        headers: z.array(z.string().max(8_192)).max(100).prefault([]).describe('`Name: value`.'),
      }),
      response: explanation,
    },
    ({ body }) => {
      try {
        return host.explain(body.method, body.url, body.headers);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        throw new AdminError(400, 'VALIDATION_ERROR', error.message);
      }
    },
  );

  operation(
    kit,
    {
      method: 'get',
      path: '/services',
      tag: 'traffic',
      summary:
        'Every service with its breaker, its instances, and why one gets no traffic, or those that contain a text',
      role: 'viewer',
      query: z.object({ ...picked, limit: picked.limit.describe('How many instances at most, over all services.') }),
      response: servicesWithTraffic,
    },
    ({ query }) => {
      const { services, ...counted } = pickServices(status().services, host.overrides.list(), query);
      return { at: Date.now(), services: withTraffic(services, snapshot(), host.metrics), ...counted };
    },
  );

  operation(
    kit,
    {
      method: 'get',
      path: '/overrides',
      tag: 'traffic',
      summary: 'What operators changed beside the configuration, by whom, why and until when',
      role: 'viewer',
      response: z.object({ overrides: z.array(override) }),
    },
    () => ({ overrides: host.overrides.list() }),
  );

  operation(
    kit,
    {
      method: 'put',
      path: '/breakers/{id}/open',
      tag: 'traffic',
      summary: 'Holds a breaker open; afterwards it lets probes through, as after any opening',
      role: 'operator',
      params: breakerTarget,
      body: z.strictObject({ reason, forMs }),
      response: override,
      errors: { 404: 'No such service or instance, or it has no breaker' },
    },
    ({ params, body, operator }) => {
      if (!hasBreaker(snapshot(), params.id)) throw notThere('breaker');
      return setByHand(host, operator.name, { kind: 'breaker', target: params.id, value: 'open', ...body });
    },
  );

  operation(
    kit,
    {
      method: 'post',
      path: '/breakers/{id}/reset',
      tag: 'traffic',
      summary: 'Closes a breaker and forgets the errors that it counted',
      role: 'operator',
      params: breakerTarget,
      response: z.object({ reset: z.boolean() }),
      errors: { 404: 'No such service or instance, or it has no breaker' },
    },
    async ({ params, operator }) => {
      if (!(await host.overrides.reset(params.id, operator.name))) throw notThere('breaker');
      await host.audit({ actor: operator.name, action: 'admin.breaker.reset', target: params.id, detail: {} });
      return { reset: true };
    },
  );

  operation(
    kit,
    {
      method: 'put',
      path: '/log-level',
      tag: 'gateway',
      summary: 'Another level of the process log for a while, of all of it or of one area',
      role: 'operator',
      body: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']), area: area.optional(), reason, forMs }),
      response: override,
    },
    ({ body: { area: of = 'gateway', level, ...rest }, operator }) =>
      setByHand(host, operator.name, { kind: 'logLevel', target: of, value: level, ...rest }),
  );
  operation(
    kit,
    {
      method: 'delete',
      path: '/log-level',
      tag: 'gateway',
      summary: 'The configured level holds again, of all of it or of one area',
      role: 'operator',
      query: z.object({ area: area.optional() }),
      response: z.object({ ended: z.boolean() }),
    },
    ({ query, operator }) => endByHand(host, operator.name, { kind: 'logLevel', target: query.area ?? 'gateway' }),
  );
}

/** What the console shows of a route without its counts. */
function searchedText({ id, match, action }: Snapshot['routes'][number]): string {
  const path = match.path.kind === 'pattern' ? match.path.pattern : match.path.source;
  const does = action.kind === 'service' ? action.targets.map(({ service }) => service) : [action.kind];
  return `${id} ${match.methods.join(' ')} ${match.hosts.join(' ')} ${path} ${does.join(' ')}`;
}

function routeReport({ host }: Kit, route: Snapshot['routes'][number]) {
  const { total, byStatus, calls } = host.metrics.route(route.slot);
  const cells = new Float64Array(CELLS);
  host.metrics.addRouteCells(route.slot, cells);
  const buckets = classicBuckets(cells);
  const { id, match, priority, version, action, policies } = route;
  return {
    id,
    match,
    priority,
    version: version?.name ?? null,
    action: action.kind === 'service' ? { kind: 'service', targets: action.targets } : { kind: action.kind },
    policies: policies.map(({ name }) => name),
    requests: total,
    statuses: Object.fromEntries(byStatus),
    grpcCalls: Object.fromEntries(calls),
    p50Ms: quantileMs(buckets, 0.5),
    p99Ms: quantileMs(buckets, 0.99),
  };
}

function hasBreaker({ services }: Snapshot, id: string): boolean {
  return services.some(({ name, instances, resilience: { breaker } }) => {
    if (breaker === null) return false;
    if (name === id) return breaker.scope !== 'instance';
    return breaker.scope !== 'service' && instances.some((instance) => instance.id === id);
  });
}

/**
 * The key `objectives`: how much of the traffic of some routes must be good, and how fast. tracker.ts follows them;
 * workers know of them only the bound for latency of each route.
 */
import * as z from 'zod';
import { duration, ratio } from '../../base/zod-units.ts';
import { oneOrMore } from '../config/schema/fields.ts';
import { defineSection, type SectionContext } from '../config/section.ts';

export interface ObjectivePlan {
  readonly name: string;
  /** Indices of the routes in the document, and in the snapshot, which begins with them. */
  readonly routes: readonly number[];
  /** Share of requests that must not fail; null: no objective for that. */
  readonly availability: number | null;
  readonly latency: { readonly underMs: number; readonly target: number } | null;
  /** Fewer bad requests in the long window of an alert are noise. */
  readonly minBad: number;
}

const names = (what: string) => oneOrMore(z.string().min(1).max(200)).optional().describe(what);

const objective = z
  .strictObject({
    routes: names('Names of routes. With neither `routes` nor `services`: all routes of the document.'),
    services: names('Services: all routes to them.'),
    availability: ratio({ min: 0.5, max: 0.99999 })
      .optional()
      .describe('Share of requests that must not end with 5xx or break off. 429 and clients that left do not count.'),
    latency: z
      .strictObject({
        under: duration({ min: 1, max: 3_600_000 }).describe('Longest time of a good response, to its last byte.'),
        for: ratio({ min: 0.5, max: 0.99999 }).describe('Share of the responses that must be so fast.'),
      })
      .optional()
      .describe('How fast responses must be; those that failed count for `availability` only.'),
    minBad: z
      .int()
      .min(1)
      .max(1_000_000)
      .prefault(30)
      .describe(
        'Bad requests in the long window below which status and alerts say nothing: with little traffic they are noise.',
      ),
  })
  .check(({ value, issues }) => {
    if (value.availability !== undefined || value.latency !== undefined) return;
    issues.push({ code: 'custom', input: value, message: 'needs availability or latency' });
  });

export const objectivesSection = defineSection({
  at: 'top',
  key: 'objectives',
  schema: z
    .record(
      z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'must be a name of letters, digits, ".", "_" and "-"'),
      objective,
    )
    .describe('Objectives for availability and latency, by name: error budgets, burn rates and alerts.'),
  compile(options, context): readonly ObjectivePlan[] {
    const bounds = new Map<number, string>();
    return Object.entries(options ?? {}).map(([name, { routes, services, availability, latency, minBad }]) => {
      const found = routesOf(name, routes, services, context);
      if (latency !== undefined)
        for (const index of found) {
          const other = bounds.get(index);
          if (other !== undefined)
            context.problem('has a route whose latency is in another objective already', {
              at: [name],
              got: routeNames(context)[index] ?? `routes[${index}]`,
              expected: `routes that ${other} does not have`,
            });
          bounds.set(index, name);
        }
      return {
        name,
        routes: found,
        availability: availability ?? null,
        latency: latency === undefined ? null : { underMs: latency.under, target: latency.for },
        minBad,
      };
    });
  },
});

interface WrittenRoute {
  readonly name?: string;
  readonly service?: string | readonly { readonly service: string }[];
}

function written(context: SectionContext): readonly WrittenRoute[] {
  return (context.document?.['routes'] ?? []) as readonly WrittenRoute[];
}

function routeNames(context: SectionContext): readonly (string | undefined)[] {
  return written(context).map(({ name }) => name);
}

function routesOf(
  objectiveName: string,
  routes: readonly string[] | undefined,
  services: readonly string[] | undefined,
  context: SectionContext,
): number[] {
  const all = written(context);
  if (routes === undefined && services === undefined) return all.map((_, index) => index);
  const known = routeNames(context);
  const found = new Set<number>();
  for (const [i, name] of (routes ?? []).entries()) {
    const index = known.indexOf(name);
    if (index >= 0) found.add(index);
    else
      context.problem('there is no route of this name', {
        at: [objectiveName, 'routes', i],
        got: name,
        expected: 'the `name` of a route',
      });
  }
  for (const [i, name] of (services ?? []).entries()) {
    if (!context.services.includes(name))
      context.problem('there is no such service', { at: [objectiveName, 'services', i], got: name });
    for (const [index, { service }] of all.entries()) {
      const targets = typeof service === 'string' ? [service] : (service ?? []).map((each) => each.service);
      if (targets.includes(name)) found.add(index);
    }
  }
  return [...found].sort((one, other) => one - other);
}

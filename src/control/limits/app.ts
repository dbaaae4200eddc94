/** The API of usage and bans as one Hono application. Loaded with the first request to it. */
import { Hono } from 'hono';
import type { Logger } from '../../base/log.ts';
import { type BansAppParts, createBansApp } from './bans/bans-app.ts';
import { REFUSALS, refuse } from './http.ts';
import { createUsageApp, type UsageAppParts } from './quotas/usage-app.ts';

export interface LimitsAppParts extends UsageAppParts, BansAppParts {
  /** Where usage and bans are. */
  readonly path: string;
  readonly log: Logger;
  readonly shownPlans: () => readonly object[];
}

export function createLimitsApp(parts: LimitsAppParts): Hono {
  const { path, log, errorFormat, clock, shownPlans } = parts;
  const app = new Hono();
  app.onError((error, context) => {
    log.error('the API of limits failed', { reason: error.message });
    return refuse(context, REFUSALS.internal, errorFormat(), clock.wallMs());
  });
  app.notFound((context) => refuse(context, REFUSALS.notFound, errorFormat(), clock.wallMs()));
  app.get('/.well-known/gatehouse/plans', (context) => context.json({ plans: shownPlans() }));
  app.route(path, createUsageApp(parts));
  app.route(path, createBansApp(parts));
  return app;
}

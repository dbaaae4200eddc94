/**
 * `builtin:ops`: health, status and metrics over HTTP, an upstream like any other behind the routes that the
 * configuration adds for them. Reads shared memory and asks no worker, so it answers also while all of them are busy.
 */

import type { Context } from 'hono';
import { Hono } from 'hono';
import type { Endpoint } from '../config/plan.ts';
import { metricsJson, prometheusText } from '../telemetry/prometheus.ts';
import type { OpsSources } from './sources.ts';
import { detailedHealth, gatewayStatus, plainHealth, readiness } from './sources.ts';

/** A fresh app for each configuration, since the paths are configuration. */
export function createOpsApp(endpoints: Readonly<Record<Endpoint, string | null>>, sources: () => OpsSources): Hono {
  const app = new Hono();
  const get = (path: string | null, answer: (context: Context) => Response): void => {
    if (path !== null) app.get(path, (context) => answer(context));
  };
  get(endpoints.live, (context) => context.json({ status: 'alive', timestamp: new Date().toISOString() }));
  get(endpoints.ready, (context) => {
    const ready = readiness(sources());
    return context.json(ready, ready.ready ? 200 : 503);
  });
  get(endpoints.health, (context) => {
    const health = plainHealth(sources());
    return context.json(health, health.status === 'unhealthy' ? 503 : 200);
  });
  get(endpoints.detailed, (context) => {
    const health = detailedHealth(sources());
    return context.json(health, health.status === 'unhealthy' ? 503 : 200);
  });
  get(endpoints.status, (context) => context.json(gatewayStatus(sources())));
  get(endpoints.metrics, (context) => {
    const { metrics, metricsFormat } = sources();
    return wantsJson(context.req.header('accept'), metricsFormat)
      ? context.json(metricsJson(metrics))
      : prometheus(context, prometheusText(metrics));
  });
  get(endpoints.prometheus, (context) => prometheus(context, prometheusText(sources().metrics)));
  return app;
}

function prometheus(context: Context, text: string): Response {
  return context.body(text, 200, { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' });
}

/** `Accept` decides where it names one of the two; otherwise the configuration does. */
function wantsJson(accept: string | undefined, configured: 'prometheus' | 'json'): boolean {
  if (accept !== undefined && /\bapplication\/json\b/.test(accept)) return true;
  if (accept !== undefined && /\btext\/plain\b|\bopenmetrics\b/.test(accept)) return false;
  return configured === 'json';
}

/**
 * Health, status and metrics in words, for the document of administrators: in that of an API's callers they are noise.
 */
import * as z from 'zod';
import type { Endpoint } from '../config/plan.ts';
import type { OperationText } from '../openapi-document.ts';
import { detailedHealth, metrics, plainHealth, status } from './responses.ts';

const timestamp = z.iso.datetime();
const UNHEALTHY = { 503: 'Unhealthy, with the same body.' };

const TEXTS: Readonly<Record<Endpoint, OperationText>> = {
  health: {
    summary: 'Health of the gateway and its services',
    who: 'public',
    readers: 'admin',
    response: plainHealth,
    also: UNHEALTHY,
  },
  live: {
    summary: 'Whether the process lives',
    who: 'public',
    readers: 'admin',
    response: z.object({ status: z.literal('alive'), timestamp }),
  },
  ready: {
    summary: 'Whether the gateway takes requests',
    who: 'public',
    readers: 'admin',
    response: z.object({
      status: z.enum(['ready', 'not ready']),
      ready: z.boolean(),
      timestamp,
      checks: z.record(z.string(), z.boolean()),
    }),
    also: { 503: 'Not ready, with the same body.' },
  },
  detailed: { summary: 'Health with instances and workers', who: 'admin', response: detailedHealth, also: UNHEALTHY },
  status: {
    summary: 'Version, configuration, traffic, services and features',
    who: 'admin',
    response: status,
  },
  metrics: {
    summary: 'Metrics, in the format that Accept names',
    who: 'admin',
    mediaType: 'text/plain',
    response: z.string(),
    otherTypes: [['application/json', metrics], 'application/openmetrics-text'],
  },
  prometheus: {
    summary: 'Metrics for Prometheus',
    who: 'admin',
    mediaType: 'text/plain',
    response: z.string(),
    otherTypes: ['application/openmetrics-text'],
  },
};

export function opsOperations(endpoints: Readonly<Record<Endpoint, string | null>>): Record<string, OperationText> {
  return Object.fromEntries(
    Object.entries(endpoints).flatMap(([name, path]) =>
      path === null ? [] : [[`GET ${path}`, TEXTS[name as Endpoint]]],
    ),
  );
}

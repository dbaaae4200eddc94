/**
 * `builtin:ops`: health, status and metrics over HTTP, an upstream like any other behind the routes that the
 * configuration adds for them. Reads shared memory and asks no worker, so it answers also while all of them are busy.
 * Seven GETs on plain node:http: a framework would cost a gateway at rest more memory than everything else it does.
 */
import type { RequestListener } from 'node:http';
import type { Endpoint } from '../config/plan.ts';
import { CONTENT_TYPES, type Format } from '../telemetry/exposition.ts';
import { metricsJson, prometheusText } from '../telemetry/prometheus.ts';
import { answerGrpcHealth, GRPC_HEALTH } from './grpc-health.ts';
import type { OpsSources } from './sources.ts';
import { detailedHealth, gatewayStatus, plainHealth, readiness } from './sources.ts';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** A fresh listener for each configuration, since the paths are configuration. */
export function createOpsApp(
  endpoints: Readonly<Record<Endpoint, string | null>>,
  sources: () => OpsSources,
): RequestListener {
  const byPath = new Map<string, Endpoint>();
  for (const [endpoint, path] of Object.entries(endpoints)) if (path !== null) byPath.set(path, endpoint as Endpoint);
  return (request, response) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    if (path.startsWith(GRPC_HEALTH)) {
      answerGrpcHealth(path.slice(GRPC_HEALTH.length), request, response, sources);
      return;
    }
    const endpoint = byPath.get(path);
    const { status, type, body } =
      endpoint === undefined
        ? json({ message: `there is no ${path} here` }, 404)
        : answer(endpoint, sources(), request.headers.accept);
    response.writeHead(status, {
      'Content-Type': type,
      'Content-Length': Buffer.byteLength(body),
      'Cache-Control': 'no-store',
    });
    response.end(body);
  };
}

function answer(endpoint: Endpoint, sources: OpsSources, accept: string | undefined): Answer {
  switch (endpoint) {
    case 'live':
      return json({ status: 'alive', timestamp: new Date().toISOString() });
    case 'ready': {
      const ready = readiness(sources);
      return json(ready, ready.ready ? 200 : 503);
    }
    case 'health': {
      const health = plainHealth(sources);
      return json(health, health.status === 'unhealthy' ? 503 : 200);
    }
    case 'detailed': {
      const health = detailedHealth(sources);
      return json(health, health.status === 'unhealthy' ? 503 : 200);
    }
    case 'status':
      return json(gatewayStatus(sources));
    case 'metrics':
      return wantsJson(accept, sources.metricsFormat)
        ? json(metricsJson(sources.metrics))
        : exposition(sources, accept);
    case 'prometheus':
      return exposition(sources, accept);
  }
}

function json(value: unknown, status = 200): Answer {
  return { status, type: 'application/json', body: JSON.stringify(value) };
}

/** OpenMetrics for who asks for it, as Prometheus does. */
function exposition(sources: OpsSources, accept: string | undefined): Answer {
  const format: Format =
    accept !== undefined && /\bapplication\/openmetrics-text\b/.test(accept) ? 'openmetrics' : 'prometheus';
  return { status: 200, type: CONTENT_TYPES[format], body: prometheusText(sources.metrics, format) };
}

/** `Accept` decides where it names one of the two; otherwise the configuration does. */
function wantsJson(accept: string | undefined, configured: 'prometheus' | 'json'): boolean {
  if (accept !== undefined && /\bapplication\/json\b/.test(accept)) return true;
  if (accept !== undefined && /\btext\/plain\b|\bopenmetrics\b/.test(accept)) return false;
  return configured === 'json';
}

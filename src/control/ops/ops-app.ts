/**
 * `builtin:ops`: health, status and metrics over HTTP, an upstream like any other behind the routes that the
 * configuration adds for them. Reads shared memory and asks no worker, so it answers also while all of them are busy.
 * Seven GETs on plain node:http: a framework would cost an idle gateway more memory than everything else.
 */
import type { RequestListener, ServerResponse } from 'node:http';
import { messageOf } from '../../base/errors.ts';
import { SingleFlight } from '../../base/single-flight.ts';
import { inSlices } from '../../base/slices.ts';
import type { Endpoint } from '../config/plan.ts';
import { CONTENT_TYPES, type Format } from '../telemetry/exposition.ts';
import { formatFor } from '../telemetry/negotiation.ts';
import { expose, exposeJson } from '../telemetry/prometheus.ts';
import { ProtobufExposition } from '../telemetry/protobuf-exposition.ts';
import { TextExposition } from '../telemetry/text-exposition.ts';
import { answerGrpcHealth, GRPC_HEALTH } from './grpc-health.ts';
import type { OpsSources } from './sources.ts';
import { detailedHealth, gatewayStatus, plainHealth, readiness } from './sources.ts';

interface Answer {
  readonly status: number;
  readonly type: string;
  /** A text, or bytes in blocks. */
  readonly body: string | readonly Buffer[];
}

/** A fresh listener for each configuration, since the paths are configuration. */
export function createOpsApp(
  endpoints: Readonly<Record<Endpoint, string | null>>,
  sources: () => OpsSources,
): RequestListener {
  const byPath = new Map<string, Endpoint>();
  for (const [endpoint, path] of Object.entries(endpoints)) if (path !== null) byPath.set(path, endpoint as Endpoint);
  const scrapes = new Scrapes(sources);
  return (request, response) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    if (path.startsWith(GRPC_HEALTH)) {
      answerGrpcHealth(path.slice(GRPC_HEALTH.length), request, response, sources);
      return;
    }
    const endpoint = byPath.get(path);
    if (endpoint === 'metrics' || endpoint === 'prometheus')
      scrapes.answer(endpoint, request.headers.accept).then(
        (scraped) => send(response, scraped),
        (error: unknown) => send(response, json({ message: messageOf(error) }, 500)),
      );
    else if (endpoint === undefined) send(response, json({ message: `there is no ${path} here` }, 404));
    else send(response, answer(endpoint, sources()));
  };
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': typeof body === 'string' ? Buffer.byteLength(body) : lengthOf(body),
    'Cache-Control': 'no-store',
  });
  if (typeof body === 'string') response.end(body);
  else {
    for (const block of body) response.write(block);
    response.end();
  }
}

function lengthOf(blocks: readonly Buffer[]): number {
  return blocks.reduce((sum, { length }) => sum + length, 0);
}

function answer(endpoint: Exclude<Endpoint, 'metrics' | 'prometheus'>, sources: OpsSources): Answer {
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
  }
}

function json(value: unknown, status = 200): Answer {
  return { status, type: 'application/json', body: JSON.stringify(value) };
}

/** Metrics are written in slices between other work; who asks meanwhile for the same format shares the answer. */
class Scrapes {
  readonly #sources: () => OpsSources;
  readonly #underWay = new SingleFlight<Answer>(FORMATS);

  constructor(sources: () => OpsSources) {
    this.#sources = sources;
  }

  /** `Accept` decides where it names a format; otherwise the configuration does for `metrics`. */
  async answer(endpoint: 'metrics' | 'prometheus', accept: string | undefined): Promise<Answer> {
    const sources = this.#sources();
    const asked = formatFor(accept, sources.nativeHistograms);
    const format =
      endpoint === 'prometheus'
        ? asked === null || asked === 'json'
          ? 'prometheus'
          : asked
        : (asked ?? sources.metricsFormat);
    // Never null: there are no more keys than formats.
    return await this.#underWay.join(format, () => scrape(format, sources))!;
  }
}

const FORMATS = 4;

async function scrape(format: Format | 'json', { metrics, nativeHistograms: native }: OpsSources): Promise<Answer> {
  if (format === 'json') return { status: 200, type: 'application/json', body: await inSlices(exposeJson(metrics)) };
  const out = format === 'protobuf' ? new ProtobufExposition() : new TextExposition(format);
  return { status: 200, type: CONTENT_TYPES[format], body: await inSlices(expose(out, metrics, { native })) };
}

/**
 * Limits as a process of its own (`gatehouse limits`): serves usage, exports, plans and bans for gateways that route
 * to it, on the database and the Redis that they share. It decides about no request: counters are in Redis and
 * gateways ask that themselves, since a second hop for each request would cost more than the decision. What runs on
 * top of them (exports that read whole periods, long lists of bans) runs here, apart from traffic.
 *
 * Who calls is what `X-Auth-*` say, as behind a gateway. Anybody who can connect could say so, hence `from`.
 */
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../base/clock.ts';
import { CidrSet, canonicalAddress } from '../../base/ip.ts';
import type { Logger } from '../../base/log.ts';
import { onDemand } from '../../base/on-demand.ts';
import type { ControlBus } from '../bus.ts';
import { fetchListener } from '../local-server.ts';
import { extraText } from '../telemetry/prometheus.ts';
import { type CompiledLimits, LimitsFeature } from './feature.ts';

export interface LimitsProcessOptions {
  readonly log: Logger;
  /** CIDR blocks of the gateways; others get 403, but for `/health` and `/metrics`. */
  readonly from: readonly string[];
  readonly clock?: Clock;
}

export interface LimitsProcess {
  /** Listens; with port 0 the answer tells the port. */
  start(host: string, port: number): Promise<{ port: number }>;
  /** Finishes what runs, for five seconds at most, then closes the stores. */
  close(): Promise<void>;
}

/** For `from`, where gateways run on the same machine. */
export const LOOPBACK: readonly string[] = ['127.0.0.0/8', '::1/128'];
const LAST_ANSWERS_MS = 5_000;
/** There are no workers in this process. */
const NO_WORKERS: ControlBus = { publish: () => {}, onTell: () => {}, onAsk: () => {} };

/** Rejects when the database cannot be opened or is newer than this program. */
export async function createLimitsProcess(
  compiled: CompiledLimits,
  { log, from, clock }: LimitsProcessOptions,
): Promise<LimitsProcess> {
  const known = new CidrSet(from);
  let api: ((request: Request) => Response | Promise<Response>) | undefined;
  const feature = new LimitsFeature({
    log,
    bus: NO_WORKERS,
    serveBuiltin: async (name, fetch) => {
      if (name === 'builtin:limits') api = fetch;
    },
    ...(clock === undefined ? {} : { clock }),
  });
  await feature.start(compiled);
  const answer = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (pathname === '/health') {
      return Response.json({ status: 'ok', dependencies: feature.dependencies() });
    }
    if (pathname === '/metrics') {
      return new Response(extraText(feature.metrics()), {
        headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
      });
    }
    return (await api?.(request)) ?? new Response(null, { status: 503 });
  };
  const listener = fetchListener(answer);
  // A gateway keeps its connections for 60 s at most; the end comes from there.
  const server = onDemand.http.createServer({
    keepAliveTimeout: 75_000,
    headersTimeout: 20_000,
    requestTimeout: 60_000,
  });
  server.on('request', (request, response) => {
    const peer = canonicalAddress(request.socket.remoteAddress ?? '');
    if (isOpenToAll(request) || (peer !== undefined && known.has(peer))) {
      listener(request, response);
      return;
    }
    log.warn('refused: not an address of a gateway', { address: peer });
    response.writeHead(403, { 'content-type': 'text/plain' }).end('not from here: see --from\n');
  });
  return {
    async start(host, port) {
      await new Promise<void>((done, fail) => {
        server.once('error', fail);
        server.listen(port, host, done);
      });
      const address = server.address();
      return { port: typeof address === 'object' && address !== null ? address.port : 0 };
    },
    async close() {
      if (server.listening) {
        server.closeIdleConnections();
        await new Promise<void>((done) => {
          const hard = setTimeout(() => server.closeAllConnections(), LAST_ANSWERS_MS);
          server.close(() => {
            clearTimeout(hard);
            done();
          });
        });
      }
      await feature.stop();
    },
  };
}

function isOpenToAll({ url }: IncomingMessage): boolean {
  return url === '/health' || url === '/metrics';
}

/** `gateway` to the snapshot's settings, and what of it is for the control plane. */
import { availableParallelism } from 'node:os';
import { MAX_WORKERS } from '../../../data/contract/shared.ts';
import type { ConnectionLimits, GatewaySettings, Http2Settings } from '../../../data/contract/snapshot.ts';
import { sectionsAt } from '../../sections.ts';
import type { Endpoint } from '../plan.ts';
import { controlSocketPath, ENDPOINTS, MAX_SOCKET_PATH } from '../plan.ts';
import type { GatewayOptions } from '../schema/gateway.ts';
import { HAS_RATE_LIMIT } from '../schema/gateway.ts';
import { showValue } from '../secrecy.ts';
import type { Compilation } from './context.ts';

export function compileGateway(compilation: Compilation, productVersion: string): GatewaySettings {
  const { gateway } = compilation.config.document;
  const { accessLog } = gateway;
  return {
    name: gateway.name,
    version: gateway.version ?? productVersion,
    logLevel: gateway.logLevel,
    ...(gateway.logLevels === undefined ? {} : { logLevels: gateway.logLevels }),
    accessLog: typeof accessLog === 'string' ? accessLog : { file: compilation.resolve(accessLog.file) },
    errorFormat: gateway.errorFormat,
    trustProxy: gateway.trustProxy,
    via: gateway.via === 'off' ? '' : gateway.via,
    ...(gateway.forwarded === undefined ? {} : { forwarded: gateway.forwarded }),
    shutdownTimeoutMs: gateway.shutdownTimeout,
    limits: connectionLimits(gateway),
    http2: http2Settings(gateway),
  };
}

function connectionLimits({ limits, timeouts }: GatewayOptions): ConnectionLimits {
  return {
    headTimeoutMs: timeouts.head,
    keepAliveTimeoutMs: timeouts.keepAlive,
    bodyIdleTimeoutMs: timeouts.bodyIdle,
    minBodyBytesPerSecond: limits.minBodyRate,
    writeTimeoutMs: timeouts.write,
    minReadBytesPerSecond: limits.minReadRate,
    tunnelIdleTimeoutMs: timeouts.tunnelIdle,
    maxHeadBytes: limits.maxHeadSize,
    maxTargetBytes: limits.maxTargetSize,
    maxFields: limits.maxFields,
    maxConnections: limits.maxConnections,
    maxConnectionsPerAddress: Math.max(1, Math.ceil(limits.maxConnections * limits.perAddress.connections)),
    maxSlowBodiesPerAddress: limits.perAddress.slowBodies,
    maxTunnels: limits.maxTunnels,
    maxRequestsPerConnection: limits.maxRequestsPerConnection,
  };
}

function http2Settings({ http2 }: GatewayOptions): Http2Settings {
  return {
    maxConcurrentStreams: http2.maxConcurrentStreams,
    streamWindow: http2.streamWindow,
    connectionWindow: Math.max(http2.connectionWindow, http2.streamWindow),
  };
}

/** How many workers run. Only Linux spreads the connections of one port over threads evenly (SO_REUSEPORT). */
export function workerCount(
  compilation: Compilation,
  platform: NodeJS.Platform = process.platform,
  processors: number = availableParallelism(),
): number {
  const { workers, clusterMode } = compilation.config.document.gateway;
  const asked = workers === 'auto' ? Math.min(processors, MAX_WORKERS) : workers;
  if (clusterMode === false) {
    if (workers !== 'auto' && workers > 1) {
      compilation.warning(['gateway', 'workers'], 'has no effect beside clusterMode: false', {
        got: showValue(workers),
      });
    }
    return 1;
  }
  if (platform === 'linux' || asked === 1) return asked;
  if (workers !== 'auto') {
    compilation.warning(['gateway', 'workers'], 'this system cannot share a port between threads; one worker runs', {
      got: showValue(workers),
    });
  }
  return 1;
}

export function endpointPaths(compilation: Compilation): Readonly<Record<Endpoint, string | null>> {
  const { endpoints } = compilation.config.document.gateway;
  const seen = new Map<string, Endpoint>();
  const paths = ENDPOINTS.map((name): [Endpoint, string | null] => {
    const path = endpoints === 'off' ? 'off' : endpoints[name];
    if (path === 'off') return [name, null];
    const other = seen.get(path);
    if (other !== undefined) {
      compilation.problem(['gateway', 'endpoints', name], `has the same path as ${other}`, { got: showValue(path) });
    }
    seen.set(path, name);
    return [name, path];
  });
  return Object.fromEntries(paths) as Record<Endpoint, string | null>;
}

/** Absolute. A socket goes into it, and socket paths are short. */
export function dataFolder(compilation: Compilation): string {
  const { dataDir } = compilation.config.document.gateway;
  const absolute = compilation.resolve(dataDir);
  const socket = controlSocketPath(absolute);
  if (process.platform !== 'win32' && Buffer.byteLength(socket) > MAX_SOCKET_PATH) {
    compilation.problem(['gateway', 'dataDir'], `the path of the control socket in it would be too long`, {
      got: showValue(socket),
      expected: `at most ${MAX_SOCKET_PATH} bytes`,
    });
  }
  return absolute;
}

/** Keys of the Enhanced document that load in every version, and that this one does nothing about. */
export function warnOfUnenforcedKeys(compilation: Compilation): void {
  if (!HAS_RATE_LIMIT && compilation.has(['gateway', 'rateLimit'])) {
    compilation.warning(['gateway', 'rateLimit'], 'is not enforced: this version has no rate limits');
  }
  if (sectionsAt('service').some(({ key }) => key === 'healthCheck')) return;
  for (const [name, { loadBalancing }] of Object.entries(compilation.config.document.services)) {
    if (loadBalancing?.healthCheckInterval === undefined) continue;
    const path = ['services', name, 'loadBalancing', 'healthCheckInterval'];
    compilation.warning(path, 'has no effect: this version has no active health checks');
  }
}

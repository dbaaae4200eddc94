/**
 * The gateway job on Node with well-known packages: undici with jose, and fastify with its own plugins; each once with
 * a cache of verified tokens and once without.
 */
import { audience, issuer, limits } from '../jobs/gateway.ts';
import { launchServer, missingPackages, packageVersion } from '../lib/node-peers.ts';
import type { Launch, Peer, Setup } from './peer.ts';

const undiciPackages = ['undici', 'jose', 'rate-limiter-flexible', 'pino', 'prom-client'];
const fastifyPackages = ['fastify', '@fastify/http-proxy', '@fastify/jwt', '@fastify/rate-limit', 'prom-client'];

export const undiciGatewayCache = peer('undici-cache', 'undici-gateway.js', undiciPackages, true);
export const undiciGateway = peer('undici-verify', 'undici-gateway.js', undiciPackages, false);
export const fastifyGatewayCache = peer('fastify-cache', 'fastify-gateway.js', fastifyPackages, true);
export const fastifyGateway = peer('fastify-verify', 'fastify-gateway.js', fastifyPackages, false);

function peer(name: string, script: string, packages: readonly string[], cache: boolean): Peer {
  return {
    name,
    features: new Set(['gateway'] as const),
    note: `${packages.join(' + ')}, ${cache ? 'cache of verified tokens' : 'verified every time'}`,
    missing: () => missingPackages(...packages),
    version: () => packages.map((one) => `${one} ${packageVersion(one)}`).join(', '),
    prepare: (setup) => prepare(setup, script, cache),
  };
}

function prepare(setup: Setup, script: string, cache: boolean): Launch {
  const accessLog = `${setup.folder}/access.log`;
  const { publicKeyFile } = setup.gateway!;
  const more = { accessLog, publicKeyFile, issuer, audience, scope: 'projects:read', limits, cache };
  return { ...launchServer(script, setup, more), accessLog, metricsPath: '/metrics' };
}

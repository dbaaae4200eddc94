/** Fastify and its own proxy plugin. */
import { launchServer, missingPackages, packageVersion } from '../lib/node-peers.ts';
import type { Peer } from './peer.ts';

export const fastify: Peer = {
  name: 'fastify',
  features: new Set(['http', 'tls', 'idle'] as const),
  note: 'fastify + @fastify/http-proxy, no access log',
  missing: () => missingPackages('fastify', '@fastify/http-proxy'),
  version: () => `${packageVersion('fastify')} + http-proxy ${packageVersion('@fastify/http-proxy')}`,
  prepare: (setup) => launchServer('fastify.js', setup),
};

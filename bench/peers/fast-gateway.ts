/**
 * fast-gateway. Version 5.0.1 asks for a fast-proxy-lite that was never published; `bench/package.json` overrides it
 * with the newest one that was.
 */
import { launchServer, missingPackages, packageVersion } from '../lib/node-peers.ts';
import type { Peer } from './peer.ts';

export const fastGateway: Peer = {
  name: 'fast-gateway',
  features: new Set(['http', 'tls', 'idle'] as const),
  note: 'fast-gateway on node:http, no access log',
  missing: () => missingPackages('fast-gateway'),
  version: () => packageVersion('fast-gateway'),
  prepare: (setup) => launchServer('fast-gateway.js', setup),
};

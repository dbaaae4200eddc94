/** node:http in front and undici's `dispatch` behind. */
import { launchServer, missingPackages, packageVersion } from '../lib/node-peers.ts';
import type { Peer } from './peer.ts';

export const undici: Peer = {
  name: 'undici',
  features: new Set(['http', 'tls', 'idle'] as const),
  note: 'node:http + undici dispatch, no access log, X-Forwarded-*',
  missing: () => missingPackages('undici'),
  version: () => packageVersion('undici'),
  prepare: (setup) => launchServer('undici.js', setup),
};

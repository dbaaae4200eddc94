/**
 * node:http and its Agent, no package at all: what somebody writes in an afternoon, and what every run can compare
 * with.
 */
import { launchServer } from '../lib/node-peers.ts';
import type { Peer } from './peer.ts';

export const nodeHttp: Peer = {
  name: 'node-http',
  features: new Set(['http', 'tls', 'websocket', 'idle'] as const),
  note: 'node:http + http.Agent, no access log, X-Forwarded-*',
  missing: () => undefined,
  version: () => process.versions.node,
  prepare: (setup) => launchServer('node-http.js', setup),
};

/** Every proxy the benchmarks know, in the order of the tables. */
import { caddy } from './caddy.ts';
import { fastGateway } from './fast-gateway.ts';
import { fastify } from './fastify.ts';
import { gatehouse } from './gatehouse.ts';
import { haproxy } from './haproxy.ts';
import { nginx } from './nginx.ts';
import { nginxLua, nginxLuaCache } from './nginx-lua.ts';
import { fastifyGateway, fastifyGatewayCache, undiciGateway, undiciGatewayCache } from './node-gateway.ts';
import { nodeHttp } from './node-http.ts';
import type { Peer } from './peer.ts';
import { undici } from './undici.ts';
import { varnish } from './varnish.ts';

export const peers: readonly Peer[] = [
  gatehouse,
  nginx,
  haproxy,
  varnish,
  caddy,
  undici,
  nodeHttp,
  fastify,
  fastGateway,
  nginxLuaCache,
  nginxLua,
  undiciGatewayCache,
  undiciGateway,
  fastifyGatewayCache,
  fastifyGateway,
];

/** What the smoke run uses: nothing that has to be installed besides the project. */
export const bundledPeers: readonly Peer[] = [gatehouse, nodeHttp];

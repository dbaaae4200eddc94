/**
 * nginx doing the gateway job, with Lua for the token: once with a cache of verified tokens, which is the reference of
 * that job, and once verifying every time, as gateways built on nginx do by default.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { audience, issuer, limits } from '../jobs/gateway.ts';
import {
  accessLog,
  launchNginx,
  nginxMissing,
  nginxModule,
  nginxVersion,
  proxySettings,
  upstreamPool,
} from './nginx-config.ts';
import type { Launch, Peer, Setup } from './peer.ts';

const modules = ['ndk_http_module', 'ngx_http_lua_module'];
const luaFolder = fileURLToPath(new URL('lua', import.meta.url));

export const nginxLuaCache = peer('nginx-lua-cache', true);
export const nginxLua = peer('nginx-lua', false);

function peer(name: string, cache: boolean): Peer {
  return {
    name,
    features: new Set(['gateway'] as const),
    note: `ES256 by libcrypto, ${cache ? 'cache of verified tokens' : 'verified every time'}, two limit_req, buffered JSON log, Lua counters`,
    missing: () =>
      nginxMissing() ??
      (modules.every((module) => nginxModule(module) !== undefined)
        ? undefined
        : 'apt-get install --no-install-recommends libnginx-mod-http-lua'),
    version: nginxVersion,
    prepare: (setup) => prepare(setup, cache),
  };
}

function prepare(setup: Setup, cache: boolean): Launch {
  const job = setup.gateway!;
  const log = join(setup.folder, 'access.log');
  const launch = launchNginx({
    folder: setup.folder,
    connections: setup.connections,
    modules: modules.map((module) => nginxModule(module)!),
    http: `
  lua_package_path "${luaFolder}/?.lua;/usr/share/lua/5.1/?.lua;;";
  init_worker_by_lua_block {
    local file = assert(io.open("${job.publicKeyFile}"))
    require("gateway").setup {
      public_key = file:read("*a"), cache = ${cache}, scope = "projects:read",
      issuer = "${issuer}", audience = "${audience}",
    }
    file:close()
  }
  # nginx knows rates per second and minute only; the bursts are the whole window, as in the other peers.
  limit_req_zone $sub zone=minute:16m rate=${limits.perMinute}r/m;
  limit_req_zone $sub zone=hour:16m rate=${limits.perHour / 60}r/m;
  limit_req_status 429;
  ${accessLog(log, ',"id":"$request_id","user":"$sub"')}
  ${upstreamPool(setup)}
  server {
    listen 127.0.0.1:${setup.port} backlog=4096;
    ${proxySettings}
    set $sub "";
    location = /metrics { access_log off; content_by_lua_block { require("gateway").metrics() } }
    location / {
      rewrite_by_lua_block { require("gateway").authenticate() }
      limit_req zone=minute burst=${limits.perMinute} nodelay;
      limit_req zone=hour burst=${limits.perHour} nodelay;
      proxy_pass http://target;
      # Fields set here replace those of the level above, so all are named again.
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Request-ID $request_id;
      proxy_set_header X-User-ID $sub;
      add_header X-Request-ID $request_id always;
      log_by_lua_block { require("gateway").count() }
    }
  }`,
  });
  return { ...launch, accessLog: log, metricsPath: '/metrics' };
}

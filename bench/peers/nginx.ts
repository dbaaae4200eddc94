/** nginx as a careful operator sets it up: the reference of every ratio. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { accessLog, launchNginx, nginxMissing, nginxVersion, proxySettings, upstreamPool } from './nginx-config.ts';
import type { Peer, Setup } from './peer.ts';

export const nginx: Peer = {
  name: 'nginx',
  features: new Set(['http', 'tls', 'websocket', 'idle', 'http2', 'grpc', 'cache'] as const),
  note: 'JSON access log to a file (64 KB buffer), X-Forwarded-*, 16 x 64k buffers, request buffering off',
  missing: nginxMissing,
  version: nginxVersion,
  prepare(setup) {
    const log = join(setup.folder, 'access.log');
    const tls =
      setup.tls === undefined
        ? ''
        : `ssl_certificate ${setup.tls.certFile}; ssl_certificate_key ${setup.tls.keyFile};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:4m;`;
    const flags = `${setup.tls === undefined ? '' : ' ssl'}${setup.http2 === undefined ? '' : ' http2'}`;
    const isGrpc = setup.http2?.upstream === 'grpc';
    const launch = launchNginx({
      folder: setup.folder,
      connections: setup.connections,
      http: `${accessLog(log)}${upstreamPool(setup)}${setup.cache === true ? cachePath(setup) : ''}
  server {
    listen 127.0.0.1:${setup.port}${flags} backlog=4096;
    ${tls}
    ${proxySettings}
    location / { ${isGrpc ? 'grpc_pass grpc://target' : 'proxy_pass http://target'}; ${setup.cache === true ? CACHED : ''} }
    location /echo {
      proxy_pass http://target;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_set_header Host $http_host;
      proxy_read_timeout 600s; proxy_send_timeout 600s;
    }
  }`,
    });
    return { ...launch, accessLog: log };
  },
};

/** Files in memory, as those who want it fast set it up; without sendfile, which a proxy with TLS cannot use either. */
const CACHED = 'proxy_cache kept; proxy_cache_valid 200 1h; proxy_cache_lock on; sendfile off;';

function cachePath({ folder }: Setup): string {
  const path = existsSync('/dev/shm') ? `/dev/shm/gatehouse-bench-${process.pid}` : `${folder}/kept`;
  return `
  proxy_cache_path ${path} levels=1:2 keys_zone=kept:8m max_size=64m use_temp_path=off;
  open_file_cache max=64 inactive=3600s; open_file_cache_valid 3600s;`;
}

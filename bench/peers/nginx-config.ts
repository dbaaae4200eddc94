/**
 * The parts of an nginx configuration that the plain peer, the Lua peers and the upstream share: one worker in the
 * foreground, all files in one folder, keep-alive without a request count.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { findProgram, programVersion } from '../lib/programs.ts';
import type { Launch, Setup } from './peer.ts';

export const nginxMissing = () =>
  findProgram('nginx') === undefined ? 'apt-get install --no-install-recommends nginx-light' : undefined;

export const nginxVersion = () => programVersion('nginx', '-v');

/** File of a dynamic module in Debian's folder, or undefined. */
export function nginxModule(name: string): string | undefined {
  return ['/usr/lib/nginx/modules', '/usr/share/nginx/modules', '/etc/nginx/modules']
    .map((folder) => join(folder, `${name}.so`))
    .find((file) => existsSync(file));
}

export interface NginxOptions {
  readonly folder: string;
  /** Downstream connections; the upstream ones come on top. */
  readonly connections: number;
  readonly modules?: readonly string[];
  /** Content of the `http` block; says `access_log`, whose default is a file of the system. */
  readonly http: string;
}

export function launchNginx(options: NginxOptions): Launch {
  const { folder } = options;
  const user = userInfo();
  const config = join(folder, 'nginx.conf');
  writeFileSync(
    config,
    `${(options.modules ?? []).map((file) => `load_module ${file};\n`).join('')}
# Only root may switch; then stay root, because the files of the run are readable by their owner alone.
${user.uid === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log warn;
worker_rlimit_nofile 20000;
# Below a sixteenth of free ones nginx closes idle connections, which are what some jobs count.
events { worker_connections ${Math.ceil(options.connections * 1.1) + 640}; }
http {
  default_type application/octet-stream;
  types { application/json json; }
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  keepalive_timeout 3600s; keepalive_requests 1000000000;
  client_header_timeout 600s;
  tcp_nodelay on;
${options.http}
}
`,
  );
  const program = findProgram('nginx') ?? 'nginx';
  return { command: program, args: ['-e', join(folder, 'error.log'), '-p', folder, '-c', config] };
}

/** Access records with the same fields as Gatehouse's, buffered and written at most once a second. */
export function accessLog(file: string, extra = ''): string {
  const fields = [
    '"time":"$time_iso8601"',
    '"remote":"$remote_addr"',
    '"method":"$request_method"',
    '"host":"$host"',
    '"path":"$request_uri"',
    '"status":$status',
    '"bytes":$body_bytes_sent',
    '"seconds":$request_time',
    '"upstream":"$upstream_addr"',
    '"agent":"$http_user_agent"',
  ];
  return `
  log_format record escape=json '{${fields.join(',')}${extra}}';
  access_log ${file} record buffer=64k flush=1s;`;
}

/** A pool of kept connections to the upstream, as large as the load can use. */
export function upstreamPool(setup: Setup): string {
  return `
  upstream target {
    server 127.0.0.1:${setup.upstreamPort};
    keepalive 128; keepalive_requests 1000000000; keepalive_timeout 600s;
  }`;
}

/** Buffers that hold 1 MB in memory and bodies streamed both ways: what a careful operator sets for large bodies. */
export const proxySettings = `
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_buffer_size 16k; proxy_buffers 16 64k; proxy_busy_buffers_size 128k;
  proxy_max_temp_file_size 0;
  proxy_request_buffering off; client_max_body_size 10m; client_body_buffer_size 64k;`;

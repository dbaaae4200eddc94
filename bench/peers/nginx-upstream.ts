/**
 * nginx as the upstream of download benchmarks, the cheapest one for the core it shares with the load. It serves the
 * bodies from files and shows the head it received under `/reflect`, as `bench/upstream.ts` does.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { downloads } from '../lib/bodies.ts';
import { launchNginx } from './nginx-config.ts';
import type { Launch } from './peer.ts';

export function nginxUpstream(folder: string, port: number): Launch {
  const root = join(folder, 'bodies');
  mkdirSync(root, { recursive: true });
  for (const { path, bytes } of downloads) writeFileSync(join(root, path), bytes);
  const small = downloads[0]!;
  const text = small.bytes.toString();
  const fields = ['x-request-id', 'x-forwarded-for', 'x-user-id', 'authorization'];
  const reflected = fields.map((name) => `${name}: $http_${name.replaceAll('-', '_')}\\r\\n`).join('');
  return launchNginx({
    folder,
    connections: 1024,
    http: `
  access_log off;
  sendfile on; open_file_cache max=16 inactive=3600s;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    root ${root};
    location = ${small.path} { default_type ${small.type}; return 200 '${text}'; }
    location = /reflect { default_type text/plain; return 200 "GET /reflect HTTP/1.1\\r\\n${reflected}"; }
  }`,
  });
}

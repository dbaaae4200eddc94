/** HAProxy, one thread, without a log: it logs to a syslog server, which would be another process to pay for. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, programVersion } from '../lib/programs.ts';
import type { Peer } from './peer.ts';

export const haproxy: Peer = {
  name: 'haproxy',
  features: new Set(['http', 'tls', 'websocket', 'idle', 'http2', 'h2c-upstream', 'grpc'] as const),
  note: 'one thread, no access log, X-Forwarded-For',
  missing: () => (findProgram('haproxy') === undefined ? 'apt-get install --no-install-recommends haproxy' : undefined),
  version: () => programVersion('haproxy', '-v'),
  prepare(setup) {
    const file = join(setup.folder, 'haproxy.cfg');
    const tls = setup.tls === undefined ? '' : ` ssl crt ${setup.tls.bundleFile}`;
    const { http2 } = setup;
    const front = http2 === undefined ? '' : setup.tls === undefined ? ' proto h2' : ' alpn h2,http/1.1';
    const back = http2 === undefined || http2.upstream === 'h1' ? '' : ' proto h2';
    writeFileSync(
      file,
      `global
  nbthread 1
  maxconn ${setup.connections + 200}
  # It counts two descriptors for each connection and would refuse to start; idle ones need one.
  no strict-limits
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout tunnel 600s
  timeout http-request 600s
  timeout http-keep-alive 600s
  option forwardfor
  http-reuse always
frontend front
  bind 127.0.0.1:${setup.port}${tls}${front}
  default_backend target
backend target
  server one 127.0.0.1:${setup.upstreamPort}${back}
`,
    );
    return { command: findProgram('haproxy') ?? 'haproxy', args: ['-db', '-f', file] };
  },
};

/** Varnish with its defaults, storage in memory and one pool of threads; it writes no access log by itself. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, programVersion } from '../lib/programs.ts';
import type { Peer } from './peer.ts';

export const varnish: Peer = {
  name: 'varnish',
  features: new Set(['cache'] as const),
  note: 'no access log (shared memory log only), malloc storage, one thread pool',
  missing: () =>
    findProgram('varnishd') === undefined ? 'apt-get install --no-install-recommends varnish' : undefined,
  version: () => programVersion('varnishd', '-V'),
  prepare({ folder, port, upstreamPort }) {
    const file = join(folder, 'default.vcl');
    writeFileSync(
      file,
      `vcl 4.1;
backend target { .host = "127.0.0.1"; .port = "${upstreamPort}"; }
sub vcl_backend_response { set beresp.ttl = 1h; }
`,
    );
    const work = join(folder, 'work');
    mkdirSync(work);
    return {
      command: findProgram('varnishd') ?? 'varnishd',
      args: [
        '-F',
        ...['-n', work, '-a', `127.0.0.1:${port}`, '-f', file, '-s', 'malloc,64m', '-j', 'none'],
        ...['-p', 'thread_pools=1', '-p', 'timeout_idle=600', '-p', 'thread_pool_min=20'],
      ],
    };
  },
};

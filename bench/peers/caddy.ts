/** Caddy on one core, HTTP/1.1 only, without a log. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, programVersion } from '../lib/programs.ts';
import type { Peer } from './peer.ts';

export const caddy: Peer = {
  name: 'caddy',
  features: new Set(['http', 'tls', 'websocket', 'idle'] as const),
  note: 'GOMAXPROCS=1, no access log',
  missing: () => (findProgram('caddy') === undefined ? 'apt-get install --no-install-recommends caddy' : undefined),
  version: () => programVersion('caddy', 'version'),
  prepare(setup) {
    const file = join(setup.folder, 'Caddyfile');
    const site = setup.tls === undefined ? `http://127.0.0.1:${setup.port}` : `https://127.0.0.1:${setup.port}`;
    const tls = setup.tls === undefined ? '' : `tls ${setup.tls.certFile} ${setup.tls.keyFile}`;
    writeFileSync(
      file,
      `{
	admin off
	auto_https off
	default_sni localhost
	servers {
		protocols h1
	}
}
${site} {
	bind 127.0.0.1
	${tls}
	reverse_proxy 127.0.0.1:${setup.upstreamPort}
}
`,
    );
    return {
      command: findProgram('caddy') ?? 'caddy',
      args: ['run', '--adapter', 'caddyfile', '--config', file],
      env: { GOMAXPROCS: '1', HOME: setup.folder, XDG_DATA_HOME: setup.folder, XDG_CONFIG_HOME: setup.folder },
    };
  },
};

/**
 * What the peers that run on Node share: the packages of `bench/package.json` and the way to start a script of
 * `bench/peers/servers/`. Those scripts are plain JavaScript, because the packages they use are not installed with
 * the project and so its type check must not ask for them.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Launch, Setup } from '../peers/peer.ts';

const benchFolder = new URL('../', import.meta.url);

/** How to install, if any of the packages is missing. */
export function missingPackages(...names: string[]): string | undefined {
  return names.every((name) => existsSync(packageFile(name))) ? undefined : 'npm install --prefix bench';
}

export function packageVersion(name: string): string {
  if (!existsSync(packageFile(name))) return 'not installed';
  return (JSON.parse(readFileSync(packageFile(name), 'utf8')) as { version: string }).version;
}

function packageFile(name: string): URL {
  return new URL(`node_modules/${name}/package.json`, benchFolder);
}

/** Options reach the script as one JSON argument. */
export function launchServer(script: string, setup: Setup, more: object = {}): Launch {
  const options = {
    port: setup.port,
    upstream: `http://127.0.0.1:${setup.upstreamPort}`,
    connections: setup.connections,
    ...(setup.tls === undefined ? {} : { certFile: setup.tls.certFile, keyFile: setup.tls.keyFile }),
    ...more,
  };
  const file = fileURLToPath(new URL(`peers/servers/${script}`, benchFolder));
  return { command: process.execPath, args: [file, JSON.stringify(options)] };
}

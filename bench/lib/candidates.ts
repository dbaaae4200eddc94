/**
 * Brings up an upstream and the proxies of one comparison, all of them alive at once so that a round can go through
 * them in turn. What cannot take part is listed with its reason instead of ending the run.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nginxMissing } from '../peers/nginx-config.ts';
import { nginxUpstream } from '../peers/nginx-upstream.ts';
import type { Feature, Launch, Peer, Setup } from '../peers/peer.ts';
import { freePort } from './ports.ts';
import { type Running, start } from './processes.ts';

/** A proxy that runs and may be measured. */
export interface Candidate {
  readonly peer: Peer;
  readonly port: number;
  readonly tls: boolean;
  readonly launch: Launch;
  readonly running: Running;
  readonly folder: string;
}

/** A proxy that does not take part, and why. */
export interface Absent {
  readonly name: string;
  readonly reason: string;
}

export type UpstreamKind = 'static' | 'bundled' | 'http2';

export interface Upstream {
  readonly port: number;
  readonly name: string;
  readonly running: Running;
}

let folders = 0;

/** A fresh folder inside the run's temporary one. */
export function subfolder(parent: string, name: string): string {
  const folder = join(parent, `${++folders}-${name}`);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/**
 * `static` serves downloads and is nginx where that is installed; `bundled` also takes uploads and WebSockets; `http2`
 * speaks that alone, and gRPC.
 */
export async function startUpstream(kind: UpstreamKind, parent: string): Promise<Upstream> {
  const folder = subfolder(parent, 'upstream');
  const port = await freePort();
  const useNginx = kind === 'static' && nginxMissing() === undefined;
  const source = kind === 'http2' ? 'upstream-http2.ts' : 'upstream.ts';
  const script = fileURLToPath(new URL(`../${source}`, import.meta.url));
  const launch = useNginx ? nginxUpstream(folder, port) : { command: process.execPath, args: [script, String(port)] };
  const running = await start({ role: 'load', ...launch, folder, readyPort: port });
  return { port, name: useNginx ? 'nginx' : `bench/${source}`, running };
}

/** Why a peer cannot take part in a job, before anything is started. */
export function absence(peer: Peer, feature: Feature): string | undefined {
  if (!peer.features.has(feature)) return `does not do ${feature}`;
  const install = peer.missing();
  return install === undefined ? undefined : `not installed: ${install}`;
}

export type Conditions = Omit<Setup, 'folder' | 'port'>;

/** Starts one proxy. Throws with the tail of its output if it does not come up. */
export async function startPeer(peer: Peer, conditions: Conditions, parent: string): Promise<Candidate> {
  const folder = subfolder(parent, peer.name);
  const port = await freePort();
  const launch = peer.prepare({ ...conditions, folder, port });
  const running = await start({ role: 'proxy', ...launch, folder, readyPort: port });
  return { peer, port, tls: conditions.tls !== undefined, launch, running, folder };
}

/**
 * What the parts of the control plane need to know and workers do not: where things are kept, how many workers run,
 * what each feature's section compiled to. Made by compile.ts together with the snapshot.
 */
import { hash } from 'node:crypto';
import { join } from 'node:path';
import type { CertificateEnd } from '../certificates/ends.ts';
import type { SectionResults } from '../sections.ts';
import type { GatewayOptions } from './schema/gateway.ts';

/** Built-in endpoints, by what they tell. */
export const ENDPOINTS = ['health', 'live', 'ready', 'detailed', 'status', 'metrics', 'prometheus'] as const;
export type Endpoint = (typeof ENDPOINTS)[number];

/** What they tell is for operators: versions, instances, routes. */
export const CLOSED_ENDPOINTS: ReadonlySet<Endpoint> = new Set(['detailed', 'status', 'metrics', 'prometheus']);

export interface ControlPlan {
  /** A listener of its own for the endpoints, or null. */
  readonly operations: { readonly host: string; readonly port: number } | null;
  /** Absolute path of the configuration file; null for a document that was handed in. */
  readonly file: string | null;
  /** Folder that relative paths in the document are relative to. */
  readonly baseDir: string;
  /** Absolute path of the data folder that the process uses. It may not exist yet. */
  readonly dataDir: string;
  /** Absolute path of the document's `gateway.dataDir`: another one after a reload takes effect at the next start. */
  readonly documentDataDir: string;
  /** Unix socket, or named pipe on Windows, of `gatehouse reload` and `gatehouse status`. */
  readonly controlSocket: string;
  /** `NODE_ENV`, or `production`. */
  readonly environment: string;
  readonly workers: number;
  /** The only worker has a spare thread. */
  readonly spareWorker: boolean;
  /** Paths of the built-in endpoints; null is off. */
  readonly endpoints: Readonly<Record<Endpoint, string | null>>;
  /** False: files are not watched, and changes wait for a reload by hand. */
  readonly watch: boolean;
  readonly metricsFormat: GatewayOptions['metricsFormat'];
  readonly nativeHistograms: boolean;
  /** Between readiness that fails and listeners that close, at the end. */
  readonly shutdownDelayMs: number;
  /**
   * Further files that the document is made of (certificates, keys ...), absolute: a change of one is a change of it.
   */
  readonly files: readonly string[];
  /** Certificates that the document names: those of listeners and services, and authorities. Not those of ACME. */
  readonly certificates: readonly CertificateEnd[];
  /** Results of the sections at the top level, such as `plan.sections.identity`. */
  readonly sections: SectionResults<'top'>;
  /** Results of the sections inside `gateway`. */
  readonly gateway: SectionResults<'gateway'>;
  /** Results of the sections inside each service, by its name. */
  readonly services: Readonly<Record<string, SectionResults<'service'>>>;
}

/** Longest path of a Unix socket that every system takes (macOS: 104 with the final NUL). */
export const MAX_SOCKET_PATH = 103;

/** Where the command line finds a running gateway. */
export function controlSocketPath(dataDir: string, platform: NodeJS.Platform = process.platform): string {
  return localSocketPath(dataDir, 'gatehouse', platform);
}

/** A Unix socket in the data folder, or a pipe of this folder's own on Windows, where sockets are not files. */
export function localSocketPath(dataDir: string, name: string, platform: NodeJS.Platform = process.platform): string {
  if (platform !== 'win32') return join(dataDir, `${name}.sock`);
  const folder = hash('sha256', dataDir.toLowerCase(), 'hex').slice(0, 16);
  return `\\\\.\\pipe\\gatehouse-${folder}-${name}`;
}

/**
 * Settings that a running gateway cannot change: they are read once, at start. The keys that differ between the plan it
 * runs by and a new one; a reload that changes any of them should say so.
 */
export function changesThatNeedRestart(running: ControlPlan, next: ControlPlan): string[] {
  const keys: string[] = [];
  if (running.dataDir !== next.documentDataDir) keys.push('gateway.dataDir');
  if (running.workers !== next.workers) keys.push('gateway.workers');
  if (running.spareWorker !== next.spareWorker) keys.push('gateway.spareWorker');
  if (running.sections.limits.memoryBytes !== next.sections.limits.memoryBytes) keys.push('limits.memory');
  return keys;
}

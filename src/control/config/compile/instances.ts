/**
 * Instances of a service: those that the document lists and those that discovery found. Takes their URLs apart and
 * gives each the id that it keeps: the service's name and the address.
 */

import { isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import type { KeyPath } from '../../../data/contract/options.ts';
import type { InstanceSettings, UpstreamTls } from '../../../data/contract/snapshot.ts';
import type { InstanceOptions, ServiceOptions } from '../schema/service.ts';
import { showValue } from '../secrecy.ts';
import type { Compilation } from './context.ts';

/** An instance that was found while the gateway runs. */
export interface DiscoveredInstance {
  readonly url: string;
  readonly weight?: number;
  readonly zone?: string | null;
  readonly healthy?: boolean;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Changes to the instances that the document lists. */
export interface MoreInstances {
  /** By service, as discovery found them. */
  readonly discovered: Readonly<Record<string, readonly DiscoveredInstance[]>>;
  /** By service, as operators added them. */
  readonly added: Readonly<Record<string, readonly DiscoveredInstance[]>>;
  /** Ids of instances that operators took out, wherever they come from. */
  readonly removed: ReadonlySet<string>;
}

export const NO_MORE_INSTANCES: MoreInstances = { discovered: {}, added: {}, removed: new Set() };

/** Of a service with instances at https URLs that says nothing of `tls`. */
export const PLAIN_TLS: UpstreamTls = { serverName: null, ca: null, cert: null, key: null, verify: true };

export type UnslottedInstance = Omit<InstanceSettings, 'slot'>;

export type InstanceAddress = Pick<InstanceSettings, 'url' | 'protocol' | 'host' | 'port' | 'socketPath' | 'basePath'>;

/** All of them, also those that operators took out. */
export function compileInstances(
  compilation: Pick<Compilation, 'problem'> & { readonly config: Pick<Compilation['config'], 'baseDir'> },
  service: string,
  options: Pick<ServiceOptions, 'instances' | 'protocol'>,
  more: MoreInstances,
): UnslottedInstance[] {
  const path: KeyPath = ['services', service, 'instances'];
  const found = new Map<string, UnslottedInstance>();
  for (const [index, written] of options.instances.entries()) {
    const { url, weight, healthy, zone, metadata } = fullInstance(written);
    const at = typeof written === 'string' ? [...path, index] : [...path, index, 'url'];
    const address = readAddress(url, compilation.config.baseDir);
    if (typeof address === 'string') {
      compilation.problem(at, address, { got: showValue(url), expected: 'a URL such as http://127.0.0.1:4001' });
      continue;
    }
    const id = instanceId(service, address);
    if (found.has(id)) compilation.problem(at, 'the service has this instance already', { got: showValue(url) });
    found.set(id, { id, ...address, weight, zone: zone ?? null, healthy, metadata });
  }
  const add = (given: DiscoveredInstance): void => {
    const { url, weight = 1, zone = null, healthy = true, metadata = {} } = given;
    const address = readAddress(url, compilation.config.baseDir);
    // Sources check what they find; the document's own entry of an address wins over a found one.
    if (typeof address === 'string') return;
    const id = instanceId(service, address);
    if (!found.has(id)) found.set(id, { id, ...address, weight, zone, healthy, metadata });
  };
  for (const each of ofService(more.discovered, service)) add(each);
  // What an operator added stops no document: where it does not fit any more it is left out.
  for (const each of ofService(more.added, service)) if (!(options.protocol === 'h2c' && isSecure(each.url))) add(each);
  return [...found.values()];
}

/** A service may have a name that every object knows, such as `constructor`. */
function ofService(all: MoreInstances['added'], service: string): readonly DiscoveredInstance[] {
  return Object.hasOwn(all, service) ? all[service]! : [];
}

function isSecure(url: string): boolean {
  return /^https:/i.test(url);
}

function fullInstance(written: string | InstanceOptions): InstanceOptions {
  return typeof written === 'string' ? { url: written, weight: 1, healthy: true, metadata: {} } : written;
}

/** `projects@127.0.0.1:4001`, `projects@unix:/run/p.sock`. */
export function instanceId(service: string, { host, port, socketPath, basePath }: InstanceAddress): string {
  if (socketPath !== null) return `${service}@unix:${socketPath}`;
  return `${service}@${isIPv6(host) ? `[${host}]` : host}:${port}${basePath}`;
}

/** The address, or what is wrong with the URL. */
export function readAddress(text: string, baseDir: string): InstanceAddress | string {
  if (text.startsWith('unix:')) return readSocket(text.slice('unix:'.length).replace(/^\/\/(?=\/)/, ''), baseDir);
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return 'not a URL';
  }
  const { protocol } = url;
  if (protocol === 'ws:' || protocol === 'wss:') return 'WebSocket goes over http and https';
  if (protocol !== 'http:' && protocol !== 'https:') return 'not an http, https or unix URL';
  if (url.username !== '' || url.password !== '') return 'must not hold a user name or a password';
  if (url.search !== '' || url.hash !== '' || /[?#]/.test(text)) return 'must not hold a query or a fragment';
  const host = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
  if (host === '') return 'has no host';
  const isSecure = protocol === 'https:';
  const port = url.port === '' ? (isSecure ? 443 : 80) : Number(url.port);
  if (port === 0) return 'port 0 is nobody’s';
  const basePath = url.pathname.replace(/\/+$/, '');
  return { url: url.origin + basePath, protocol: isSecure ? 'https' : 'http', host, port, socketPath: null, basePath };
}

function readSocket(path: string, baseDir: string): InstanceAddress | string {
  if (path === '') return 'has no path of a socket';
  const isPipe = path.startsWith('\\\\');
  const socketPath = isPipe ? path : resolve(baseDir, path);
  return { url: `unix:${socketPath}`, protocol: 'http', host: 'localhost', port: 80, socketPath, basePath: '' };
}

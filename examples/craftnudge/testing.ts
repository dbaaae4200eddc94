/**
 * The whole example for a test: a gateway with the example's own configuration and its services, which register with
 * it, on ports of their own, in a folder that is gone afterwards. A test may change the configuration before it is
 * read.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { createLogger } from '../../src/base/log.ts';
import { startGateway } from '../../src/main.ts';
import type { Scope } from '../../test/support/scope.ts';
import type { Registration, Running } from '../shared/service.ts';
import { commandLineOn, eventually, Person } from '../shared/testing.ts';
import { startAnalytics } from './services/analytics.ts';
import { startTracker } from './services/commit-tracker.ts';
import { startNotifications } from './services/notifications.ts';

export { type Answer, eventually, Person } from '../shared/testing.ts';

export const PASSWORD = 'ancient walrus paints 9 fences';

// biome-ignore lint/suspicious/noExplicitAny: tests change what they like
export type Document = any;

export type ServiceName = 'commit-tracker' | 'analytics' | 'notifications';

export interface CraftNudge {
  readonly url: string;
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Starts one more instance of a service, which stands for it from then on here. */
  startService(name: ServiceName, more?: Partial<Registration>): Promise<Running>;
  service(name: ServiceName): Running;
  /** Ends an instance as one that goes away: it leaves the registry. */
  stopService(name: ServiceName): Promise<void>;
  drill(of: ServiceName | Running, mode: 'off' | 'errors' | 'slow', delayMs?: number): Promise<void>;
  /** The command line, on this gateway's configuration and data. */
  gatehouse(...args: string[]): Promise<string>;
  anybody(address: string): Person;
  /** Registers an account and signs it in. */
  person(name: string): Promise<Person>;
  /** How many commits of a person analytics knows; asks it without the gateway, so that no limit is touched. */
  learned(person: Person): Promise<number>;
}

export async function startCraftNudge(
  scope: Scope,
  change: (document: Document) => void = () => {},
  more: Readonly<Record<string, string>> = {},
): Promise<CraftNudge> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-craftnudge-'));
  const env = {
    GATEWAY_PORT: '0',
    CRAFTNUDGE_DATA: folder,
    CRAFTNUDGE_HOME: fileURLToPath(new URL('.', import.meta.url)),
    TRACKER_KEY: 'tracker-key-0123456789',
    ANALYTICS_KEY: 'analytics-key-0123456789',
    GATEHOUSE_REGISTRY_TOKEN: 'registry-token-0123456789',
    WORKERS: '1',
    ...more,
  };
  const document: Document = parse(await readFile(new URL('gatehouse.yaml', import.meta.url), 'utf8'), { merge: true });
  document.gateway.watch = false;
  // All of it is one process here, on a machine that may be busy: a probe may take its time.
  for (const service of Object.values<Document>(document.services))
    Object.assign(service.healthCheck, { interval: '5s', timeout: '5s' });
  change(document);
  const configFile = join(folder, 'gatehouse.yaml');
  await writeFile(configFile, stringify(document));
  const gateway = await startGateway({ configFile, env, log: createLogger('error') });
  const url = `http://127.0.0.1:${gateway.addresses[0]!.port}`;
  const running = new Map<ServiceName, Running>();
  const closes: (() => Promise<void>)[] = [];
  scope.after(async () => {
    for (const close of closes) await close();
    await gateway.stop({ timeoutMs: 500 });
    await rm(folder, { recursive: true, force: true });
  });
  const starts = {
    'commit-tracker': (registration: Registration) =>
      startTracker({ file: join(folder, 'commits.db'), port: 0, registration, key: env.TRACKER_KEY }),
    analytics: (registration: Registration) =>
      startAnalytics({ file: join(folder, 'analytics.db'), port: 0, registration, key: env.ANALYTICS_KEY }),
    notifications: (registration: Registration) =>
      startNotifications({ file: join(folder, 'notifications.db'), port: 0, registration }),
  };
  const startService = async (service: ServiceName, of: Partial<Registration> = {}): Promise<Running> => {
    const registration = { gateway: url, token: env.GATEHOUSE_REGISTRY_TOKEN, service, ...of };
    const started = await starts[service](registration);
    let isOpen = true;
    const close = async (): Promise<void> => {
      if (isOpen) await started.close();
      isOpen = false;
    };
    closes.push(close);
    running.set(service, { ...started, close });
    await eventually(async () => started.lease() !== undefined, `${service} is registered`);
    return started;
  };
  for (const name of Object.keys(starts) as ServiceName[]) await startService(name);
  const anybody = (address: string): Person => new Person(url, address);
  let people = 0;
  return {
    url,
    folder,
    env,
    startService,
    service: (name) => running.get(name)!,
    stopService: async (name) => await running.get(name)?.close(),
    drill: async (of, mode, delayMs = 5_000) => {
      const { url: instance } = typeof of === 'string' ? running.get(of)! : of;
      const response = await fetch(`${instance}/drill`, {
        method: 'PUT',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ mode, delayMs }),
      });
      if (!response.ok) throw new Error(`${instance} did not take the drill: ${await response.text()}`);
    },
    gatehouse: commandLineOn(configFile, folder, env),
    anybody,
    async learned({ id }) {
      const metrics = await fetch(`${running.get('analytics')!.url}/api/v1/analytics/metrics`, {
        headers: { 'X-Auth-Subject': id },
      });
      return ((await metrics.json()) as { commits: number }).commits;
    },
    async person(name) {
      const made = anybody(`203.0.113.${++people}`);
      const account = { email: `${name}@example.com`, username: name, password: PASSWORD };
      const response = await made.call('POST', '/api/v1/auth/register', account);
      if (response.status !== 201) throw new Error(response.text);
      made.signedIn(response);
      return made;
    },
  };
}

/** A commit that is right; `n` makes it one of many, an hour apart. */
export function commitOf(n: number, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    commit_hash: n.toString(16).padStart(40, '0'),
    repository: 'fences',
    message: `feat: fence ${n}`,
    author: 'Ada',
    authored_at: new Date(Date.UTC(2026, 0, 5, 9) + n * 3_600_000).toISOString(),
    files: [
      { path: 'src/fence.ts', additions: 10 + n, deletions: n },
      { path: 'test/fence.test.ts', additions: 5, deletions: 0 },
    ],
    ...more,
  };
}

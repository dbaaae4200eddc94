/**
 * The lease in a Lease of Kubernetes (coordination.k8s.io/v1), the object that its own controllers elect by. Each write
 * names the `resourceVersion` that it replaces, and of two the API server takes one. `leaseTransitions` is the epoch.
 * Times are of the API server's clock, as its responses tell it (server-clock.ts), so that a node whose clock is wrong
 * changes nothing. Needs `get`, `create` and `update` on leases in the namespace.
 * https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/
 */
import * as z from 'zod';
import type { Clock } from '../../base/clock.ts';
import type { Timers } from '../../base/system-timers.ts';
import { type KubernetesAccess, readAccess } from '../discovery/kubernetes-access.ts';
import { ApiStatusError, exchangeJson, type JsonRequest } from '../discovery/kubernetes-api.ts';
import type { EpochFloor, Lease, LeaseStore } from './lease.ts';
import { ServerClock } from './server-clock.ts';

export interface KubernetesLeaseSettings {
  /** Name of the Lease. */
  readonly lease: string;
  /** Null for the namespace that the gateway runs in. */
  readonly namespace: string | null;
  readonly apiServer: string | null;
  readonly tokenFile: string | null;
  readonly caFile: string | null;
}

export interface KubernetesLeaseParts {
  readonly settings: KubernetesLeaseSettings;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly floor: EpochFloor;
}

/** Below the time after which a queen that cannot renew steps down, so that it may try twice. */
const TIMEOUT_MS = 1_500;

const leaseSchema = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string().min(1) }),
  spec: z
    .looseObject({
      holderIdentity: z.string().nullish(),
      leaseDurationSeconds: z.int().nullish(),
      renewTime: z.string().nullish(),
      leaseTransitions: z.int().nullish(),
    })
    .nullish(),
});
type LeaseDocument = z.output<typeof leaseSchema>;

export class KubernetesLeaseStore implements LeaseStore {
  readonly #parts: KubernetesLeaseParts;
  readonly #server = new ServerClock();
  readonly #closing = new AbortController();

  constructor(parts: KubernetesLeaseParts) {
    this.#parts = parts;
  }

  async acquire(holder: string, ttlMs: number): Promise<number | null> {
    const former = await this.#get();
    const lease = former === null ? null : this.#shown(former);
    if (lease?.isHeld === true && lease.holder !== holder) return null;
    const epoch = lease?.isHeld === true ? lease.epoch : Math.max(lease?.epoch ?? 0, await this.#parts.floor()) + 1;
    const now = this.#latestStamp();
    const spec = {
      ...former?.spec,
      holderIdentity: holder,
      leaseDurationSeconds: Math.max(1, Math.ceil(ttlMs / 1_000)),
      renewTime: now,
      leaseTransitions: epoch,
      ...(lease?.isHeld === true ? {} : { acquireTime: now }),
    };
    return (await this.#put(former, spec)) ? epoch : null;
  }

  async release(holder: string): Promise<void> {
    const former = await this.#get();
    if (former?.spec?.holderIdentity !== holder) return;
    await this.#put(former, { ...former.spec, holderIdentity: '', leaseDurationSeconds: 1 });
  }

  async read(): Promise<Lease | null> {
    const document = await this.#get();
    return document === null ? null : this.#shown(document);
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  #shown({ spec }: LeaseDocument): Lease {
    const holder = spec?.holderIdentity ?? '';
    const renewedMs = Date.parse(spec?.renewTime ?? '');
    const untilMs = (Number.isNaN(renewedMs) ? 0 : renewedMs) + (spec?.leaseDurationSeconds ?? 0) * 1_000;
    const isHeld = holder !== '' && this.#server.earliest(this.#parts.clock.monotonicMs()) <= untilMs;
    return { holder, epoch: spec?.leaseTransitions ?? 0, untilMs, isHeld };
  }

  /** As a MicroTime. The latest that it can be there: the lease lasts at least as long as its holder believes. */
  #latestStamp(): string {
    const ms = this.#server.latest(this.#parts.clock.monotonicMs());
    if (!Number.isFinite(ms)) throw new Error('the API server does not say what time it is (header Date)');
    return new Date(Math.ceil(ms)).toISOString().replace('Z', '000Z');
  }

  async #get(): Promise<LeaseDocument | null> {
    try {
      return leaseSchema.parse(await this.#exchange((lease) => `/${lease}`, { method: 'GET' }));
    } catch (error) {
      if (error instanceof ApiStatusError && error.status === 404) return null;
      throw error;
    }
  }

  /** False when another one was faster. */
  async #put(former: LeaseDocument | null, spec: Readonly<Record<string, unknown>>): Promise<boolean> {
    const kind = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' };
    try {
      if (former === null) {
        const metadata = { name: this.#parts.settings.lease, labels: { 'app.kubernetes.io/managed-by': 'gatehouse' } };
        await this.#exchange(() => '', { method: 'POST', body: { ...kind, metadata, spec } });
      } else {
        // Whole as it was read: what others wrote into its metadata stays.
        await this.#exchange((lease) => `/${lease}`, { method: 'PUT', body: { ...kind, ...former, spec } });
      }
      return true;
    } catch (error) {
      // Written, made or deleted by another one meanwhile.
      if (error instanceof ApiStatusError && (error.status === 409 || error.status === 404)) return false;
      throw error;
    }
  }

  async #exchange(rest: (lease: string) => string, request: JsonRequest): Promise<unknown> {
    const { settings, env, clock, timers } = this.#parts;
    const access: KubernetesAccess = await readAccess(settings, env);
    const folder = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(access.namespace)}/leases`;
    const path = folder + rest(encodeURIComponent(settings.lease));
    const sentMs = clock.monotonicMs();
    const learn = (dateMs: number | null): void => {
      if (dateMs !== null) this.#server.add(dateMs, sentMs, clock.monotonicMs());
    };
    try {
      const call = { access, path, timers, signal: this.#closing.signal };
      const { document, dateMs } = await exchangeJson(call, { ...request, timeoutMs: TIMEOUT_MS });
      learn(dateMs);
      return document;
    } catch (error) {
      if (error instanceof ApiStatusError) learn(error.dateMs);
      throw error;
    }
  }
}

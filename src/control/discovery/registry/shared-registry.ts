/**
 * The registry as services call it (app.ts), in step with the other nodes of a cluster: each lease is a fact
 * (control/facts.ts) by service and URL, sent when it is taken, renewed or changed; its end is another one by its id,
 * so that no heartbeat sent later brings it back. So a service may register at one node, send its heartbeats to any,
 * and leave at a third. A node drops a lease only when it has read the store after the lease was over and found no
 * renewal; while the store is away no lease ends, and a node that does not know a lease says so instead of denying it.
 * Without a cluster this adds nothing. Owner: the main thread.
 */
import * as z from 'zod';
import type { Clock } from '../../../base/clock.ts';
import type { Logger } from '../../../base/log.ts';
import type { Cancel, Timers } from '../../../base/system-timers.ts';
import type { Fact, Facts } from '../../facts.ts';
import type { Changes, Lease, LeaseCopy, RegisterResult, Registration, RegistrySettings } from './leases.ts';
import { keyOf } from './leases.ts';
import type { Registry } from './registry.ts';

export interface SharedRegistryParts {
  readonly registry: Registry;
  readonly facts: Facts;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
}

/** `unsure`: there is no such lease here, and whether another node has it cannot be found out now. */
export type Found<T> = T | 'none' | 'unsure';

export const LEASE_FACT = 'lease';
/** Heartbeats of this long are one transaction. */
export const RENEWAL_GATHER_MS = 500;
/** Told while there was no store to tell it to. */
const MOST_OWED = 8_192;

const span = z.number().min(0);
const named = { service: z.string(), id: z.string(), url: z.string(), comebacksMs: z.array(span).max(100).readonly() };
const leaseValue = z.object({
  ...named,
  weight: z.number().min(0),
  zone: z.string().nullable(),
  metadata: z.record(z.string(), z.string()),
  leaseMs: z.number().positive(),
  registeredAtMs: span,
  heldMs: span,
});
/** Given up, or replaced by another lease of the same URL. */
const endValue = z.object({
  ...named,
  ended: z.literal(true),
  /** Of the lease that is over; absent where an older version sent it. */
  leaseMs: z.number().positive().optional(),
  successor: leaseValue.nullable(),
});

type Ended = z.output<typeof endValue>;

export class SharedRegistry {
  readonly #parts: SharedRegistryParts;
  /** Leases whose heartbeats were taken here and not sent yet: service and id by key. */
  readonly #renewed = new Map<string, readonly [service: string, id: string]>();
  /** What could not be sent, because the store was not reached yet. */
  readonly #owed = new Map<string, Ended | readonly [service: string, id: string]>();
  #cancel: Cancel | null = null;
  #services = '';

  constructor(parts: SharedRegistryParts) {
    this.#parts = parts;
  }

  /** After each `configure` of the registry: what the others sent of services that are new here is learnt now. */
  configured(): void {
    const services = [...this.#parts.registry.listAll().keys()].sort().join(' ');
    if (services === this.#services) return;
    this.#services = services;
    this.#parts.facts.hear(LEASE_FACT, {
      learn: (fact) => this.#learn(fact),
      caughtUp: () => this.#caughtUp(),
    });
  }

  /** Tells the renewals that wait. */
  stop(): void {
    this.#cancel?.();
    this.#tellRenewed();
  }

  get settings(): RegistrySettings {
    return this.#parts.registry.settings;
  }

  list(service: string): Lease[] | undefined {
    return this.#parts.registry.list(service);
  }

  listAll(): Map<string, Lease[]> {
    return this.#parts.registry.listAll();
  }

  /** When it resolves, the lease outlives this node, unless the store is away. */
  async register(service: string, registration: Registration): Promise<RegisterResult> {
    const { registry, facts } = this.#parts;
    // So that the same URL is the same instance wherever it registers, and none is taken beyond `maxInstances`.
    if (facts.isInCluster) await facts.catchUp();
    const result = registry.register(service, registration);
    if (!result.ok) return result;
    const { lease, replaces } = result;
    const copy = registry.copyOf(service, lease.id) ?? null;
    if (replaces !== null) void this.#tellEnd({ service, url: lease.url, ...replaces }, copy);
    await this.#sendLease(service, lease);
    return result;
  }

  async heartbeat(service: string, id: string, changes: Changes): Promise<Found<Lease>> {
    const lease = await this.#find(() => this.#parts.registry.heartbeat(service, id, changes));
    if (lease === 'none' || lease === 'unsure') return lease;
    if (Object.keys(changes).length > 0) await this.#sendLease(service, lease);
    else this.#renew(service, lease);
    return lease;
  }

  /** When it resolves, no node learns the lease any more, unless the store is away. */
  async remove(service: string, id: string): Promise<Found<true>> {
    const { registry } = this.#parts;
    const removed = await this.#find(() => {
      const copy = registry.copyOf(service, id);
      return registry.remove(service, id) ? copy : undefined;
    });
    if (removed === 'none' || removed === 'unsure') return removed;
    this.#renewed.delete(keyOf(service, removed.url));
    await this.#tellEnd(removed, null);
    return true;
  }

  /** Another node may have taken it a moment ago. */
  async #find<T>(look: () => T | undefined): Promise<Found<T>> {
    const { facts } = this.#parts;
    const found = look();
    if (found !== undefined) return found;
    if (!facts.isInCluster) return 'none';
    const hasRead = await facts.catchUp();
    return look() ?? (hasRead ? 'none' : 'unsure');
  }

  // --- telling -------------------------------------------------------------------------------------------------------

  async #sendLease(service: string, { id, url }: Lease): Promise<void> {
    const key = keyOf(service, url);
    this.#renewed.delete(key);
    await this.#tell(key, [service, id]);
  }

  async #tellEnd(
    { service, id, url, leaseMs }: Pick<LeaseCopy, 'service' | 'id' | 'url' | 'leaseMs'>,
    successor: LeaseCopy | null,
  ): Promise<void> {
    const comebacksMs = this.#parts.registry.comebacksOf(service, url);
    await this.#tell(`end ${id}`, { service, id, url, comebacksMs, ended: true, leaseMs, successor });
  }

  #renew(service: string, { id, url }: Lease): void {
    const { facts, timers } = this.#parts;
    if (!facts.isInCluster) return;
    this.#renewed.set(keyOf(service, url), [service, id]);
    this.#cancel ??= timers.after(RENEWAL_GATHER_MS, () => this.#tellRenewed());
  }

  #tellRenewed(): void {
    this.#cancel = null;
    const renewed = [...this.#renewed];
    this.#renewed.clear();
    for (const [key, lease] of renewed) void this.#tell(key, lease);
  }

  async #tell(key: string, fact: Ended | readonly [service: string, id: string]): Promise<void> {
    const { facts, registry } = this.#parts;
    if (!facts.isInCluster) return;
    if (!facts.areShared) {
      if (this.#owed.size < MOST_OWED || this.#owed.has(key)) this.#owed.set(key, fact);
      return;
    }
    const value = 'ended' in fact ? fact : registry.copyOf(...fact);
    if (value === undefined) return;
    // As long as any lease that it ends, also one from before a reload that shortened them: one that is sent late must
    // not outlive it.
    const { leaseMs = 0 } = value;
    const keptMs = 'ended' in value ? Math.max(leaseMs, registry.settings.leaseMs.max) : leaseMs;
    const written = facts.tell(LEASE_FACT, key, value, keptMs);
    // While the store is away nobody waits for it.
    if (facts.knownMs !== null) await written;
  }

  // --- hearing -------------------------------------------------------------------------------------------------------

  #learn({ key, value, ageMs, node }: Fact): void {
    const { facts, registry, log } = this.#parts;
    // What this node sent is not written yet, and will be the later of the two.
    if (facts.isWaiting(LEASE_FACT, key)) return;
    const end = endValue.safeParse(value);
    if (end.success) {
      registry.learnEnd(end.data, ageMs);
      if (end.data.successor !== null) registry.learn(end.data.successor, ageMs);
      return;
    }
    const lease = leaseValue.safeParse(value);
    if (lease.success) registry.learn(lease.data satisfies LeaseCopy, ageMs);
    else log.warn('a registration of another node cannot be read', { node, reason: z.prettifyError(lease.error) });
  }

  /**
   * The store is reached for the first time, or again: heartbeats that other nodes took meanwhile are sent only now.
   */
  #caughtUp(): void {
    this.#parts.registry.spare();
    const owed = [...this.#owed];
    this.#owed.clear();
    for (const [key, fact] of owed) void this.#tell(key, fact);
  }
}

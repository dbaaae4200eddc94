/**
 * Who has registered: leases by service and id, kept alive by heartbeats. A lease that runs out takes its instance
 * away; an address that flaps is held back (damping.ts); everything is bounded, and everything but heartbeats outlives
 * a restart (store.ts). Owner: the main thread. HTTP is app.ts; `discovery` reads it through registry-source.ts; other
 * nodes of a cluster take part through shared-registry.ts.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../../base/clock.ts';
import { CidrSet } from '../../../base/ip.ts';
import type { Logger } from '../../../base/log.ts';
import type { Timers } from '../../../base/system-timers.ts';
import type { InstanceInput } from '../instance.ts';
import { byUrl, instanceAt } from '../instance.ts';
import { words } from '../source.ts';
import { addressProblem, type OwnAddress } from './address-rules.ts';
import { Damping } from './damping.ts';
import type {
  Changes,
  Entry,
  Lease,
  LeaseCopy,
  RegisterResult,
  Registration,
  RegistrationRules,
  RegistrySettings,
} from './leases.ts';
import { byUrlOf, keyOf, serviceOf, urlOf } from './leases.ts';
import type { RegistryContent, RegistryStore } from './store.ts';

export interface RegistryEnvironment {
  readonly store: RegistryStore;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  /** Where the gateway itself listens now. */
  readonly ownAddresses?: () => readonly OwnAddress[];
  /**
   * Up to this moment (monotonic) it is known here which leases were renewed, at whatever node: only a lease that was
   * over by then ends. Default: the present, which is right for one who takes all heartbeats itself.
   */
  readonly knownMs?: () => number;
  /** Makes ids; tests hand in their own. */
  readonly newId?: () => string;
}

interface Service {
  rules: RegistrationRules;
  allow: CidrSet;
  /** By id. */
  readonly entries: Map<string, Entry>;
  readonly listeners: Set<(instances: readonly InstanceInput[]) => void>;
}

/** Over all services. Shared memory has slots for 8,192 instances of all kinds. */
export const MAX_LEASES = 4_096;
/** The timer this late means that the whole process stood still, and with it every heartbeat. */
const STALL_MS = 1_000;
const MOST_ENDED = 2 * MAX_LEASES;
/** A lease is over and other nodes may have renewed it: looked at again so soon. */
const UNSURE_MS = 500;

export class Registry {
  readonly #env: RegistryEnvironment;
  #settings: RegistrySettings;
  readonly #damping: Damping;
  readonly #services = new Map<string, Service>();
  /** Ids that were given up or replaced: no node of a cluster that has not heard of it brings them back. */
  readonly #ended = new Set<string>();
  /** What the file had, until the first `configure` says which services there are. */
  #restored: RegistryContent | null;
  #cancelTimer: (() => void) | undefined;
  #closed = false;
  #isHandedOver = false;

  private constructor(environment: RegistryEnvironment, settings: RegistrySettings, restored: RegistryContent | null) {
    this.#env = environment;
    this.#settings = settings;
    this.#damping = new Damping(settings.damping, 2 * MAX_LEASES);
    this.#restored = restored;
  }

  /** Reads what was kept. A file that cannot be read is logged; the registry begins empty then. */
  static async open(environment: RegistryEnvironment, settings: RegistrySettings): Promise<Registry> {
    const restored = await environment.store.load().catch((error: unknown) => {
      environment.log.error('the registry begins empty', { reason: words(error) });
      return null;
    });
    return new Registry(environment, settings, restored);
  }

  get settings(): RegistrySettings {
    return this.#settings;
  }

  /** At start and after each reload: the settings, and the services that take registrations. */
  configure(settings: RegistrySettings, services: ReadonlyMap<string, RegistrationRules>): void {
    this.#settings = settings;
    this.#damping.configure(settings.damping);
    for (const [name, service] of this.#services) {
      if (services.has(name) || service.entries.size === 0) continue;
      this.#env.log.info('registrations dropped: the service takes none any more', { service: name });
      service.entries.clear();
      this.#changed(name, service);
    }
    for (const name of this.#services.keys()) if (!services.has(name)) this.#services.delete(name);
    for (const [name, rules] of services) {
      const service = this.#services.get(name);
      const allow = new CidrSet(rules.allow);
      if (service === undefined) this.#services.set(name, { rules, allow, entries: new Map(), listeners: new Set() });
      else Object.assign(service, { rules, allow });
    }
    this.#damping.forget((key) => services.has(serviceOf(key)));
    this.#restore();
    this.#arm();
  }

  /** The same URL again is the same instance, started anew: it gets a new id, and the old one ends. */
  register(serviceName: string, registration: Registration): RegisterResult {
    const service = this.#services.get(serviceName);
    if (service === undefined || this.#closed) return { ok: false, refusal: 'unknown' };
    const expected = addressProblem(registration.url, service.allow, this.#env.ownAddresses?.());
    if (expected !== undefined) return { ok: false, refusal: 'address', expected };
    const former = [...service.entries.values()].find((entry) => entry.url === registration.url);
    if (former === undefined) {
      const { maxInstances } = service.rules;
      if (service.entries.size >= maxInstances) return { ok: false, refusal: 'full', most: maxInstances };
      if (this.#count() >= MAX_LEASES) return { ok: false, refusal: 'full', most: MAX_LEASES };
    } else this.#end(service, former.id);
    const nowMs = this.#env.clock.monotonicMs();
    const key = keyOf(serviceName, registration.url);
    const known = former !== undefined || this.#damping.knows(key);
    const holdMs = known ? this.#damping.cameBack(key, nowMs) : 0;
    const entry: Entry = {
      ...registration,
      service: serviceName,
      id: this.#env.newId?.() ?? randomUUID(),
      registeredAtMs: this.#env.clock.wallMs(),
      expiresMs: nowMs + registration.leaseMs,
      // A new start does not end an older hold-down sooner.
      heldUntilMs: Math.max(holdMs === 0 ? 0 : nowMs + holdMs, former?.heldUntilMs ?? 0),
    };
    service.entries.set(entry.id, entry);
    const fields = { service: serviceName, instance: entry.id, url: entry.url };
    if (this.#isHeld(entry)) {
      const heldMs = Math.round(entry.heldUntilMs - nowMs);
      this.#env.log.warn('flapping instance held back', {
        ...fields,
        heldMs,
        comebacks: this.#damping.count(key, nowMs),
      });
    } else this.#env.log.info('instance registered', { ...fields, again: known });
    this.#changed(serviceName, service);
    const replaces = former === undefined ? null : { id: former.id, leaseMs: former.leaseMs };
    return { ok: true, lease: this.#show(entry), isNew: former === undefined, replaces };
  }

  /** Lengthens the lease by its whole length and takes changes; undefined when there is no such lease. */
  heartbeat(serviceName: string, id: string, changes: Changes = {}): Lease | undefined {
    const service = this.#services.get(serviceName);
    const entry = service?.entries.get(id);
    if (service === undefined || entry === undefined) return undefined;
    const renewed = { ...entry, ...changes, expiresMs: this.#env.clock.monotonicMs() + entry.leaseMs };
    service.entries.set(id, renewed);
    // Not armed anew: a later end is noticed when the timer comes by.
    if (Object.keys(changes).length > 0) this.#changed(serviceName, service);
    return this.#show(renewed);
  }

  /** False when there is no such lease. */
  remove(serviceName: string, id: string): boolean {
    const service = this.#services.get(serviceName);
    const entry = service?.entries.get(id);
    if (service === undefined || entry === undefined) return false;
    this.#end(service, id);
    this.#damping.left(keyOf(serviceName, entry.url));
    this.#env.log.info('instance deregistered', { service: serviceName, instance: id, url: entry.url });
    this.#changed(serviceName, service);
    return true;
  }

  // --- of other nodes ------------------------------------------------------------------------------------------------

  copyOf(serviceName: string, id: string): LeaseCopy | undefined {
    const entry = this.#services.get(serviceName)?.entries.get(id);
    if (entry === undefined) return undefined;
    const nowMs = this.#env.clock.monotonicMs();
    const { expiresMs: _, heldUntilMs, ...rest } = entry;
    return { ...rest, heldMs: Math.max(0, heldUntilMs - nowMs), comebacksMs: this.comebacksOf(serviceName, entry.url) };
  }

  /** How long ago the address came back, each time. */
  comebacksOf(serviceName: string, url: string): number[] {
    return this.#damping.ages(keyOf(serviceName, url), this.#env.clock.monotonicMs());
  }

  /** Another node took the lease or renewed it so long ago. That node has counted the instances of the service. */
  learn(copy: LeaseCopy, ageMs: number): void {
    const { heldMs, comebacksMs, ...lease } = copy;
    const service = this.#services.get(copy.service);
    if (service === undefined || this.#closed || this.#ended.has(copy.id)) return;
    const nowMs = this.#env.clock.monotonicMs();
    const key = keyOf(copy.service, copy.url);
    if (comebacksMs.length > 0) this.#learnComebacks(key, comebacksMs, ageMs);
    const fields = { service: copy.service, instance: copy.id, url: copy.url };
    const former = [...service.entries.values()].find(({ url }) => url === copy.url);
    if (ageMs >= copy.leaseMs) {
      // It has ended meanwhile; if this node has it still, it goes by its own end.
      if (former === undefined) this.#damping.left(key);
      return;
    }
    if (former === undefined && this.#count() >= MAX_LEASES) {
      this.#env.log.warn('an instance that registered at another node is one too many', {
        ...fields,
        most: MAX_LEASES,
      });
      return;
    }
    const problem = addressProblem(copy.url, service.allow, this.#env.ownAddresses?.());
    if (problem !== undefined) {
      this.#env.log.warn('an instance that registered at another node is not taken', { ...fields, expected: problem });
      return;
    }
    const isSame = former?.id === copy.id;
    const entry: Entry = {
      ...lease,
      expiresMs: Math.max(nowMs - ageMs + copy.leaseMs, isSame ? former.expiresMs : 0),
      heldUntilMs: heldMs > ageMs ? nowMs + heldMs - ageMs : 0,
    };
    if (former !== undefined && !isSame) this.#end(service, former.id);
    service.entries.set(entry.id, entry);
    if (isSame && isLike(former, entry) && this.#isHeld(former) === this.#isHeld(entry)) return;
    if (!isSame) this.#env.log.info('instance registered at another node', fields);
    this.#changed(copy.service, service);
  }

  /** At another node the instance left. */
  learnEnd(copy: Pick<LeaseCopy, 'service' | 'id' | 'url' | 'comebacksMs'>, ageMs: number): void {
    const { service: name, id, url } = copy;
    const service = this.#services.get(name);
    if (service === undefined || this.#closed) return;
    this.#learnComebacks(keyOf(name, url), copy.comebacksMs, ageMs);
    if (!this.#end(service, id)) return;
    this.#env.log.info('instance deregistered at another node', { service: name, instance: id, url });
    this.#changed(name, service);
  }

  /** False when there was no such lease. */
  #end(service: Service, id: string): boolean {
    this.#ended.add(id);
    const [oldest] = this.#ended;
    if (this.#ended.size > MOST_ENDED && oldest !== undefined) this.#ended.delete(oldest);
    return service.entries.delete(id);
  }

  #learnComebacks(key: string, comebacksMs: readonly number[], ageMs: number): void {
    const agesMs = comebacksMs.map((age) => age + ageMs);
    this.#damping.learn(key, agesMs, this.#env.clock.monotonicMs());
  }

  /** No lease ends sooner than its length from now on: heartbeats may have been sent that are not known here. */
  spare(): void {
    const nowMs = this.#env.clock.monotonicMs();
    for (const { entries } of this.#services.values())
      for (const entry of entries.values()) entry.expiresMs = Math.max(entry.expiresMs, nowMs + entry.leaseMs);
    this.#arm();
  }

  /** Leases of a service that are over, and last until it is known whether another node renewed them. */
  overdue(serviceName: string): number {
    const nowMs = this.#env.clock.monotonicMs();
    let count = 0;
    for (const { expiresMs } of this.#services.get(serviceName)?.entries.values() ?? [])
      if (expiresMs <= nowMs) count++;
    return count;
  }

  // -------------------------------------------------------------------------------------------------------------------

  /** Undefined when the service takes no registrations. */
  list(serviceName: string): Lease[] | undefined {
    const service = this.#services.get(serviceName);
    return service && [...service.entries.values()].sort(byUrlOf).map((entry) => this.#show(entry));
  }

  /** Every service that takes registrations, with its leases. */
  listAll(): Map<string, Lease[]> {
    return new Map([...this.#services.keys()].map((name) => [name, this.list(name) ?? []]));
  }

  /** Calls `listener` with the instances that may get traffic, now and on each change. Returns the way out. */
  subscribe(serviceName: string, listener: (instances: readonly InstanceInput[]) => void): () => void {
    const service = this.#services.get(serviceName);
    if (service === undefined) {
      listener([]);
      return () => {};
    }
    service.listeners.add(listener);
    listener(this.#instances(service));
    return () => service.listeners.delete(listener);
  }

  /**
   * Another process takes the leases over from the file: everything is on the disk, and nothing is written and no lease
   * ends here any more, until the result is called. The caller makes sure that no instance registers meanwhile.
   */
  async handOver(): Promise<() => void> {
    this.#isHandedOver = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    await this.#env.store.flush().catch((error: unknown) => {
      this.#env.log.error('the registry is handed over without its last changes', { reason: words(error) });
    });
    return () => {
      this.#isHandedOver = false;
      this.#arm();
    };
  }

  /** Ends the timer and waits until everything is on the disk, or the store has said why not. Leases live on there. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer?.();
    if (this.#isHandedOver) return;
    await this.#env.store.flush().catch((error: unknown) => {
      this.#env.log.error('the registry ends without its last changes kept', { reason: words(error) });
    });
  }

  #count(): number {
    let count = 0;
    for (const service of this.#services.values()) count += service.entries.size;
    return count;
  }

  #instances(service: Service): InstanceInput[] {
    return [...service.entries.values()]
      .filter((entry) => !this.#isHeld(entry))
      .map(({ url, weight, zone, metadata }) => instanceAt(url, { weight, zone, metadata }))
      .sort(byUrl);
  }

  #isHeld(entry: Entry): boolean {
    return entry.heldUntilMs > this.#env.clock.monotonicMs();
  }

  #show(entry: Entry): Lease {
    const { clock } = this.#env;
    const nowMs = clock.monotonicMs();
    const { expiresMs, heldUntilMs, ...shown } = entry;
    const held = heldUntilMs > nowMs;
    return {
      ...shown,
      state: held ? 'held' : 'active',
      heldUntilMs: held ? Math.round(clock.wallMs() + heldUntilMs - nowMs) : null,
      comebacks: this.#damping.count(keyOf(entry.service, entry.url), nowMs),
      expiresAtMs: Math.round(clock.wallMs() + expiresMs - nowMs),
    };
  }

  #changed(name: string, service: Service): void {
    const instances = this.#instances(service);
    for (const listener of service.listeners) listener(instances);
    if (this.#closed || this.#isHandedOver) return;
    this.#env.store.save(() => this.#content());
    this.#arm();
    this.#env.log.debug('registry changed', { service: name, instances: instances.length });
  }

  /** One timer, for whatever ends first. */
  #arm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#closed || this.#isHandedOver) return;
    const nowMs = this.#env.clock.monotonicMs();
    const knownMs = this.#knownMs(nowMs);
    let dueMs = Number.POSITIVE_INFINITY;
    for (const service of this.#services.values()) {
      for (const entry of service.entries.values()) {
        const isUnsure = entry.expiresMs <= nowMs && entry.expiresMs > knownMs;
        const endMs = isUnsure ? nowMs + UNSURE_MS : entry.expiresMs;
        dueMs = Math.min(dueMs, endMs, this.#isHeld(entry) ? entry.heldUntilMs : Number.POSITIVE_INFINITY);
      }
    }
    if (dueMs === Number.POSITIVE_INFINITY) return;
    this.#cancelTimer = this.#env.timers.after(Math.max(0, dueMs - nowMs), () => this.#sweep(dueMs));
  }

  #sweep(dueMs: number): void {
    const nowMs = this.#env.clock.monotonicMs();
    const lateMs = nowMs - dueMs;
    if (lateMs > STALL_MS) {
      // No heartbeat could arrive meanwhile; to drop all instances would turn a pause into an outage.
      this.#env.log.warn('leases renewed: the process stood still', { stoodStillMs: Math.round(lateMs) });
      this.spare();
    }
    const knownMs = this.#knownMs(nowMs);
    for (const [name, service] of this.#services) this.#sweepService(name, service, nowMs, knownMs);
    this.#arm();
  }

  #knownMs(nowMs: number): number {
    return this.#env.knownMs?.() ?? nowMs;
  }

  #sweepService(name: string, service: Service, nowMs: number, knownMs: number): void {
    let changed = false;
    for (const entry of [...service.entries.values()]) {
      const fields = { service: name, instance: entry.id, url: entry.url };
      if (entry.expiresMs <= knownMs) {
        service.entries.delete(entry.id);
        this.#damping.left(keyOf(name, entry.url));
        this.#env.log.warn('instance removed: heartbeat lost', { ...fields, leaseMs: entry.leaseMs });
        changed = true;
      } else if (entry.heldUntilMs > 0 && entry.heldUntilMs <= nowMs) {
        entry.heldUntilMs = 0;
        this.#env.log.info('flapping instance let in again', fields);
        changed = true;
      }
    }
    if (changed) this.#changed(name, service);
  }

  #content(): RegistryContent {
    const { clock } = this.#env;
    const toWall = clock.wallMs() - clock.monotonicMs();
    const leases = [...this.#services.values()].flatMap((service) =>
      [...service.entries.values()].map(({ expiresMs: _, heldUntilMs, ...entry }) => ({
        ...entry,
        heldUntilMs: heldUntilMs === 0 ? 0 : Math.max(0, heldUntilMs + toWall),
      })),
    );
    const comebacks = [...this.#damping.entries()].map(([key, stamps]) => ({
      service: serviceOf(key),
      url: urlOf(key),
      atMs: stamps.map((stamp) => Math.max(0, stamp + toWall)),
    }));
    return { leases, comebacks };
  }

  #restore(): void {
    const content = this.#restored;
    this.#restored = null;
    if (content === null) return;
    const { clock, log } = this.#env;
    const nowMs = clock.monotonicMs();
    const toMonotonic = nowMs - clock.wallMs();
    for (const { service, url, atMs } of content.comebacks) {
      // A time of day that was set back meanwhile must not make stamps of the future.
      const stamps = atMs.map((stamp) => Math.min(stamp + toMonotonic, nowMs));
      if (this.#services.has(service)) this.#damping.restore(keyOf(service, url), stamps);
    }
    let restored = 0;
    for (const { heldUntilMs, ...lease } of content.leases) {
      const service = this.#services.get(lease.service);
      if (service === undefined || addressProblem(lease.url, service.allow, this.#env.ownAddresses?.()) !== undefined)
        continue;
      if (service.entries.size >= service.rules.maxInstances) continue;
      const heldMs = Math.min(Math.max(0, heldUntilMs - clock.wallMs()), this.#settings.damping.maxHoldMs);
      service.entries.set(lease.id, {
        ...lease,
        expiresMs: nowMs + Math.max(lease.leaseMs, this.#settings.restartGraceMs),
        heldUntilMs: heldUntilMs === 0 || heldMs === 0 ? 0 : nowMs + heldMs,
      });
      restored++;
    }
    if (restored > 0) log.info('registrations restored', { instances: restored });
  }
}

/** What callers are routed by has not changed. */
function isLike(a: Entry, b: Entry): boolean {
  if (a.weight !== b.weight || a.zone !== b.zone) return false;
  return JSON.stringify(a.metadata) === JSON.stringify(b.metadata);
}

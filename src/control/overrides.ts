/**
 * What operators change at run time beside the configuration: an instance that drains, one that is added or taken out,
 * another weight, a breaker held open, another log level. Each has an owner, a reason and mostly an end, is listed as
 * such, and survives reloads, discovery and a restart of the process. The document stays the truth: when an override
 * ends, it holds again. Owner: primary.ts, main thread; the admin API is the only writer.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf } from '../base/errors.ts';
import type { AreaLevels, Logger, LogLevel } from '../base/log.ts';
import type { Cancel, Timers } from '../base/system-timers.ts';
import { systemTimers } from '../base/system-timers.ts';
import {
  type BreakerPlace,
  forceOpen,
  instanceBreakerPlace,
  resetBreaker,
  serviceBreakerPlace,
} from '../data/contract/breaker-word.ts';
import type { InstanceTable } from '../data/contract/instance-table.ts';
import type { ServiceSettings, Snapshot } from '../data/contract/snapshot.ts';
import type { DiscoveredInstance } from './config/compile.ts';
import type { InstancesByHand } from './live-configuration.ts';

export const OVERRIDE_KINDS = ['drain', 'added', 'removed', 'weight', 'breaker', 'logLevel'] as const;
export type OverrideKind = (typeof OVERRIDE_KINDS)[number];

/** What was added or taken out. */
export interface InstanceByHand {
  readonly service: string;
  readonly url: string;
  /** Of one that was added. */
  readonly weight?: number;
  readonly zone?: string | null;
}

export interface Override {
  readonly kind: OverrideKind;
  /** Id of the instance, name of the service, `gateway`, or the area of a log level. */
  readonly target: string;
  /** The weight, or the log level; `open` for a breaker; true for draining, adding and taking out. */
  readonly value: number | string | boolean;
  /** Of `added` and `removed`. */
  readonly instance?: InstanceByHand;
  readonly owner: string;
  readonly reason: string;
  readonly since: string;
  /** ISO 8601; null until it is ended by hand. */
  readonly until: string | null;
}

/** More would be a configuration. */
const MOST_OVERRIDES = 1_000;

export interface OverridesHost {
  readonly file: string;
  readonly log: Logger;
  readonly instances: InstanceTable;
  /** The live one, to find slots. */
  snapshot(): Snapshot;
  /** Publishes the live document again, through `overlay`. */
  republish(): Promise<unknown>;
  /** Publishes these services again, with `instancesByHand`; all or nothing. */
  instancesChanged(
    services: readonly string[],
  ): Promise<{ readonly ok: boolean; readonly problems: readonly string[] }>;
  readonly timers?: Timers;
  readonly now?: () => number;
}

export class Overrides {
  readonly #host: OverridesHost;
  readonly #timers: Timers;
  readonly #now: () => number;
  readonly #all = new Map<string, Override>();
  #cancel: Cancel = () => {};
  #writing: Promise<void> = Promise.resolve();
  #isHandedOver = false;

  constructor(host: OverridesHost) {
    this.#host = host;
    this.#timers = host.timers ?? systemTimers;
    this.#now = host.now ?? Date.now;
  }

  /** What an earlier process left, as far as it still holds. */
  async open(): Promise<void> {
    try {
      const found = JSON.parse(await readFile(this.#host.file, 'utf8')) as readonly Override[];
      for (const each of found.slice(0, MOST_OVERRIDES)) if (!this.#isOver(each)) this.#all.set(keyOf(each), each);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#host.log.warn('overrides of an earlier process cannot be read', { reason: messageOf(error) });
    }
    this.#plan();
  }

  list(): readonly Override[] {
    return [...this.#all.values()];
  }

  find(kind: OverrideKind, target: string): Override | undefined {
    // Asked of every instance; mostly there are none.
    return this.#all.size === 0 ? undefined : this.#all.get(keyOf({ kind, target }));
  }

  /**
   * Rejects with a `RangeError` when there are too many, another process takes over, or the configuration does not take
   * it: then nothing has changed.
   */
  async set(override: Override): Promise<void> {
    this.#refuseWhenHandedOver();
    const key = keyOf(override);
    const before = this.#all.get(key);
    if (before === undefined && this.#all.size >= MOST_OVERRIDES)
      throw new RangeError(`there are ${MOST_OVERRIDES} overrides already`);
    this.#all.set(key, override);
    const problems = await this.#publishInstances([override]);
    if (problems.length > 0) {
      if (before === undefined) this.#all.delete(key);
      else this.#all.set(key, before);
      throw new RangeError(problems.join('; '));
    }
    this.#host.log.info('an override was set', { ...logged(override), until: override.until });
    await this.#changed([override]);
  }

  /** False when there is none. */
  async end(kind: OverrideKind, target: string, author: string): Promise<boolean> {
    const found = this.find(kind, target);
    if (found === undefined) return false;
    this.#refuseWhenHandedOver();
    this.#all.delete(keyOf(found));
    await this.#publishInstances([found]);
    this.#host.log.info('an override was ended', { ...logged(found), ended_by: author });
    await this.#changed([found]);
    return true;
  }

  /** Closes a breaker and forgets what it counted. */
  async reset(target: string, author: string): Promise<boolean> {
    const place = this.#breakerOf(target);
    if (place === undefined) return false;
    this.#refuseWhenHandedOver();
    this.#all.delete(keyOf({ kind: 'breaker', target }));
    resetBreaker(this.#host.instances, place);
    this.#host.log.info('a breaker was reset', { target, author });
    await this.#changed([]);
    return true;
  }

  /** The snapshot with overridden weights and log level. The same one when there are none. */
  overlay(snapshot: Snapshot): Snapshot {
    const level = this.find('logLevel', 'gateway')?.value as LogLevel | undefined;
    const areas = Object.fromEntries(
      this.list().flatMap(({ kind, target, value }) =>
        kind === 'logLevel' && target !== 'gateway' ? [[target, value as LogLevel]] : [],
      ),
    ) as AreaLevels;
    const hasAreas = Object.keys(areas).length > 0;
    const weights = new Map(
      this.list().flatMap(({ kind, target, value }) => (kind === 'weight' ? [[target, value as number]] : [])),
    );
    if (level === undefined && !hasAreas && weights.size === 0) return snapshot;
    return {
      ...snapshot,
      gateway: {
        ...snapshot.gateway,
        ...(level === undefined ? {} : { logLevel: level }),
        ...(hasAreas ? { logLevels: { ...snapshot.gateway.logLevels, ...areas } } : {}),
      },
      services: snapshot.services.map((service) =>
        service.instances.some(({ id }) => weights.has(id))
          ? {
              ...service,
              instances: service.instances.map((instance) => ({
                ...instance,
                weight: weights.get(instance.id) ?? instance.weight,
              })),
            }
          : service,
      ),
    };
  }

  /** Instances that were added, by service, and the ids of those that were taken out. */
  instancesByHand(): InstancesByHand {
    const added = new Map<string, DiscoveredInstance[]>();
    const removed = new Set<string>();
    const services = new Set<string>();
    for (const { kind, target, instance } of this.#all.values()) {
      if (instance === undefined) continue;
      const { service, url, weight = 1, zone = null } = instance;
      services.add(service);
      if (kind === 'removed') removed.add(target);
      else added.set(service, [...(added.get(service) ?? []), { url, weight, zone }]);
    }
    return { added: Object.fromEntries(added), removed, services: [...services] };
  }

  /** After instances got their words in shared memory: new ones there drain again, or are held open. */
  apply(services: readonly ServiceSettings[]): void {
    for (const { instances } of services) {
      for (const { id, slot } of instances)
        this.#host.instances.setDraining(slot, this.find('drain', id) !== undefined);
    }
    for (const each of this.#all.values()) if (each.kind === 'breaker') this.#hold(each);
  }

  /** Another process reads the file: it is not written any more, until the result is called. */
  async handOver(): Promise<() => void> {
    this.#isHandedOver = true;
    this.#cancel();
    await this.#writing;
    return () => {
      this.#isHandedOver = false;
      this.#plan();
    };
  }

  close(): Promise<void> {
    this.#cancel();
    return this.#writing;
  }

  /** The problems of a configuration that does not take them. */
  async #publishInstances(touched: readonly Override[]): Promise<readonly string[]> {
    const services = new Set(touched.flatMap(({ instance }) => instance?.service ?? []));
    if (services.size === 0) return [];
    const { ok, problems } = await this.#host.instancesChanged([...services]);
    if (!ok) this.#host.log.error('instances changed by hand were not published', { problems });
    return ok ? [] : problems;
  }

  async #changed(touched: readonly Override[]): Promise<void> {
    this.#plan();
    this.#write();
    const kinds = new Set(touched.map(({ kind }) => kind));
    if (kinds.has('drain')) this.apply(this.#host.snapshot().services);
    for (const each of touched) {
      if (each.kind !== 'breaker') continue;
      if (this.#all.has(keyOf(each))) this.#hold(each);
      else {
        const place = this.#breakerOf(each.target);
        if (place !== undefined) resetBreaker(this.#host.instances, place);
      }
    }
    if (kinds.has('weight') || kinds.has('logLevel')) await this.#host.republish();
    await this.#writing;
  }

  #hold({ target, until }: Override): void {
    const place = this.#breakerOf(target);
    if (place === undefined || until === null) return;
    forceOpen(this.#host.instances, place, Math.max(0, Date.parse(until) - this.#now()), place.resetTimeoutMs);
  }

  /** Undefined where no breaker is configured. */
  #breakerOf(target: string): (BreakerPlace & { readonly resetTimeoutMs: number }) | undefined {
    for (const service of this.#host.snapshot().services) {
      const { breaker } = service.resilience;
      if (breaker === null) continue;
      const { resetTimeoutMs } = breaker;
      if (breaker.scope !== 'instance' && service.name === target)
        return { ...serviceBreakerPlace(service.slot), resetTimeoutMs };
      if (breaker.scope === 'service') continue;
      const instance = service.instances.find(({ id }) => id === target);
      if (instance !== undefined) return { ...instanceBreakerPlace(instance.slot, service.slot), resetTimeoutMs };
    }
    return undefined;
  }

  #isOver({ until }: Override): boolean {
    return until !== null && Date.parse(until) <= this.#now();
  }

  #refuseWhenHandedOver(): void {
    if (this.#isHandedOver) throw new RangeError('another process takes over from this one: try again in a moment');
  }

  /** Wakes when the next one ends. */
  #plan(): void {
    this.#cancel();
    if (this.#isHandedOver) return;
    const ends = this.list().flatMap(({ until }) => (until === null ? [] : [Date.parse(until)]));
    if (ends.length === 0) return;
    this.#cancel = this.#timers.after(Math.max(1, Math.min(...ends) - this.#now()), () => void this.#expire());
  }

  async #expire(): Promise<void> {
    // A breaker's own clock has ended it already: it goes on with probes.
    const over = this.list().filter((each) => this.#isOver(each));
    for (const each of over) {
      this.#all.delete(keyOf(each));
      this.#host.log.info('an override ended', logged(each));
    }
    try {
      await this.#publishInstances(over);
      await this.#changed(over.filter(({ kind }) => kind !== 'breaker'));
    } catch (error) {
      this.#host.log.error('an override could not be ended', { reason: messageOf(error) });
    }
  }

  #write(): void {
    if (this.#isHandedOver) return;
    const { file, log } = this.#host;
    const text = JSON.stringify(this.list());
    this.#writing = this.#writing
      .then(async () => {
        await mkdir(dirname(file), { recursive: true });
        await writeFile(`${file}.new`, text, { mode: 0o600 });
        await rename(`${file}.new`, file);
      })
      .catch((error: unknown) => log.warn('overrides cannot be kept over a restart', { reason: messageOf(error) }));
  }
}

function keyOf({ kind, target }: Pick<Override, 'kind' | 'target'>): string {
  return `${kind} ${target}`;
}

function logged({ kind, target, value, owner, reason }: Override) {
  return { kind, target, value, owner, reason };
}

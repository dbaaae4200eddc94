/**
 * From DNS records to instances, and how long the answer is good. SRV follows RFC 2782: priorities become tiers,
 * weights become shares, the target `.` means that the service is decidedly not there. The targets of SRV records are
 * looked up here too, with the same name servers, because the system's own resolver may not know their names.
 */
import type { SrvRecord } from 'node:dns';
import { NODATA, NOTFOUND } from 'node:dns';
import type { Resolver } from 'node:dns/promises';
import type { DnsSettings } from './dns.ts';
import type { InstanceInput } from './instance.ts';
import { byUrl, instanceAt, urlOf } from './instance.ts';
import { words } from './source.ts';
import { hostsAddresses, namesToAsk, SYSTEM_FILES, type SystemFiles } from './system-names.ts';

export interface DnsAnswer {
  /** Sorted by URL; empty when the server says that the name has no records. */
  readonly instances: readonly InstanceInput[];
  /** How long the answer is good, within the bounds of the settings. */
  readonly waitMs: number;
  /** What went wrong with a part of it; the rest is good. */
  readonly problem: string | null;
}

interface Addresses {
  readonly addresses: readonly string[];
  readonly ttlMs: number;
}

const NOBODY: Addresses = { addresses: [], ttlMs: 0 };

export class DnsLookup {
  readonly #settings: DnsSettings;
  readonly #resolver: Resolver;
  /** Null with name servers of its own, which are asked for whole names only. */
  readonly #system: SystemFiles | null;
  /** Last good addresses of SRV targets, for a target whose look-up fails while others answer. */
  #targets = new Map<string, Addresses>();

  constructor(settings: DnsSettings, resolver: Resolver, system: SystemFiles = SYSTEM_FILES) {
    this.#settings = settings;
    this.#resolver = resolver;
    this.#system = settings.servers.length > 0 ? null : system;
  }

  /** Asks once. Rejects when no answer came; "no such records" is an answer. */
  async ask(): Promise<DnsAnswer> {
    const { name, type } = this.#settings;
    if (type === 'SRV') return this.#askSrv();
    const { addresses, ttlMs } = await this.#addresses(name, type);
    const { scheme, port, weight, zone } = this.#settings;
    const instances = addresses.map((address) => instanceAt(urlOf(scheme, address, port), { weight, zone }));
    return { instances: distinct(instances), waitMs: this.#bounded(ttlMs), problem: null };
  }

  async #askSrv(): Promise<DnsAnswer> {
    const found = await this.#records(this.#settings.name, (name) => this.#resolver.resolveSrv(name));
    const records = found.filter(hasTarget);
    const problems: string[] = [];
    const targets = new Map<string, Addresses>();
    await Promise.all(
      [...new Set(records.map((record) => record.name))].map(async (target) => {
        targets.set(target, await this.#target(target, problems));
      }),
    );
    this.#targets = targets;
    const shares = srvWeights(records);
    const instances = records.flatMap((record) =>
      (targets.get(record.name) ?? NOBODY).addresses.map((address) =>
        instanceAt(urlOf(this.#settings.scheme, address, record.port), {
          weight: shares.get(record) ?? 1,
          zone: this.#settings.zone,
          priority: record.priority,
          metadata: { target: record.name },
        }),
      ),
    );
    const shortestMs = Math.min(this.#settings.intervalMs, ...[...targets.values()].map((target) => target.ttlMs));
    return { instances: distinct(instances), waitMs: this.#bounded(shortestMs), problem: problems[0] ?? null };
  }

  async #target(target: string, problems: string[]): Promise<Addresses> {
    try {
      const ipv4 = await this.#addresses(target, 'A');
      return ipv4.addresses.length > 0 ? ipv4 : await this.#addresses(target, 'AAAA');
    } catch (error) {
      problems.push(`target ${target}: ${words(error)}`);
      return this.#targets.get(target) ?? NOBODY;
    }
  }

  async #addresses(name: string, type: 'A' | 'AAAA'): Promise<Addresses> {
    const written = this.#system === null ? [] : await hostsAddresses(this.#system, name, type);
    if (written.length > 0) return { addresses: written, ttlMs: this.#settings.intervalMs };
    const records = await this.#records(name, (each) =>
      type === 'A' ? this.#resolver.resolve4(each, { ttl: true }) : this.#resolver.resolve6(each, { ttl: true }),
    );
    // "No such records" has a TTL too (RFC 2308), which Node does not tell.
    if (records.length === 0) return { addresses: [], ttlMs: this.#settings.intervalMs };
    return {
      addresses: records.map((record) => record.address),
      ttlMs: Math.min(...records.map((record) => record.ttl * 1_000)),
    };
  }

  /** Of the first spelling that has any. A failure counts only when no other spelling has any either. */
  async #records<Kind>(name: string, ask: (name: string) => Promise<Kind[]>): Promise<Kind[]> {
    let failure: unknown = null;
    for (const each of this.#system === null ? [name] : await namesToAsk(this.#system, name)) {
      try {
        const records = await orEmpty(ask(each));
        if (records.length > 0) return records;
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== null) throw failure;
    return [];
  }

  #bounded(ms: number): number {
    return Math.min(Math.max(ms, this.#settings.minTtlMs), this.#settings.maxTtlMs);
  }
}

/** "There are no such records" is an answer; silence, refusal and server failure are not. */
async function orEmpty<Record>(answer: Promise<Record[]>): Promise<Record[]> {
  try {
    return await answer;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === NODATA || code === NOTFOUND) return [];
    throw error;
  }
}

/** RFC 2782: a target of "." says that the service is not available at this domain. */
function hasTarget(record: SrvRecord): boolean {
  return record.name !== '' && record.name !== '.' && record.port > 0;
}

/**
 * SRV weights are shares within one priority, in any scale up to 65,535. They are brought to a mean of 1, so that they
 * mix with instances of other sources. RFC 2782: among weights above 0, a weight of 0 gets a very small share.
 */
export function srvWeights(records: readonly SrvRecord[]): Map<SrvRecord, number> {
  const weights = new Map<SrvRecord, number>();
  for (const record of records) {
    const tier = records.filter((other) => other.priority === record.priority);
    const mean = tier.reduce((sum, other) => sum + other.weight, 0) / tier.length;
    const share = mean === 0 ? 1 : Math.max(record.weight / mean, 0.01);
    weights.set(record, Math.round(share * 1_000) / 1_000);
  }
  return weights;
}

/** One per URL, the one with the lower priority first; sorted, because name servers rotate their answers. */
function distinct(instances: readonly InstanceInput[]): InstanceInput[] {
  const byPriority = [...instances].sort((a, b) => a.priority - b.priority);
  const first = new Map<string, InstanceInput>();
  for (const instance of byPriority) if (!first.has(instance.url)) first.set(instance.url, instance);
  return [...first.values()].sort(byUrl);
}

/**
 * The lease in a key of NATS JetStream KV (nats-server 2.9 or newer), by the official client. Who holds it is decided
 * by the revision of the key alone: each write names the one that it replaces, and of two the server takes one. Whether
 * a lease has run out is decided by the server's clock, which stamps each write: to find out, a node writes a key of
 * its own and reads the stamp. Reads go to the leader of the bucket, never to a follower that may be behind. Loaded
 * only when it is configured.
 */
import type { KV, KvEntry } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Clock } from '../../base/clock.ts';
import { natsOptions } from '../../base/nats.ts';
import type { EpochFloor, Lease, LeaseStore } from './lease.ts';

export interface NatsLeaseSettings {
  /** Servers of one NATS cluster. */
  readonly urls: readonly string[];
  /** Servers that keep a copy of the bucket: 1, 3 or 5. */
  readonly replicas: number;
}

export interface NatsLeaseParts {
  readonly settings: NatsLeaseSettings;
  /** Of the lease: the name of the cluster. */
  readonly name: string;
  /** Of this node, unlike every other. */
  readonly node: string;
  readonly clock: Clock;
  readonly floor: EpochFloor;
}

interface Content {
  readonly holder: string;
  readonly epoch: number;
  readonly ttlMs: number;
}

/** The server's clock at a moment of our monotonic one. */
interface Sighting {
  readonly serverMs: number;
  readonly atMs: number;
}

const BUCKET = 'gatehouse_leases';
/** Below the time after which a queen that cannot renew steps down, so that it may try twice. */
const TIMEOUT_MS = 1_500;
/** How long the server's clock is carried on by ours: they drift by less than a millisecond in this time. */
const CLOCK_CARRIED_MS = 30_000;
/** A lease that looks as if it had run out is looked at again when the clock was read longer ago than this. */
const CLOCK_FRESH_MS = 500;
/** The last sequence is another one: https://github.com/nats-io/nats-server/blob/main/server/errors.json */
const LOST_CODES: ReadonlySet<unknown> = new Set([10_071, 10_164]);

export class NatsLeaseStore implements LeaseStore {
  readonly #parts: NatsLeaseParts;
  readonly #key: string;
  readonly #clockKey: string;
  #connecting: Promise<{ readonly connection: NatsConnection; readonly kv: KV }> | null = null;
  #seen: Sighting | null = null;
  /** One look at a time: the next one would overwrite its stamp. */
  #looking: Promise<Sighting> | null = null;

  constructor(parts: NatsLeaseParts) {
    this.#parts = parts;
    this.#key = `lease.${encoded(parts.name)}`;
    this.#clockKey = `clock.${encoded(parts.name)}.${encoded(parts.node)}`;
  }

  async acquire(holder: string, ttlMs: number): Promise<number | null> {
    const kv = await this.#open();
    const entry = await kv.get(this.#key);
    const former = contentOf(entry);
    const isHeld = entry !== null && former !== null && (await this.#isHeld(kv, entry, former));
    if (isHeld && former.holder !== holder) return null;
    const epoch = isHeld
      ? former.epoch
      : Math.max(former?.epoch ?? 0, entry?.revision ?? 0, await this.#parts.floor()) + 1;
    const isWritten = await this.#write(kv, { holder, epoch, ttlMs }, entry?.revision ?? 0);
    return isWritten ? epoch : null;
  }

  async release(holder: string): Promise<void> {
    const kv = await this.#open();
    const entry = await kv.get(this.#key);
    const content = contentOf(entry);
    if (entry === null || content?.holder !== holder) return;
    // Not deleted: its epoch must not be forgotten.
    await this.#write(kv, { ...content, ttlMs: 0 }, entry.revision);
  }

  async read(): Promise<Lease | null> {
    const kv = await this.#open();
    const entry = await kv.get(this.#key);
    const content = contentOf(entry);
    if (entry === null || content === null) return null;
    const { holder, epoch } = content;
    return { holder, epoch, untilMs: untilOf(entry, content), isHeld: await this.#isHeld(kv, entry, content) };
  }

  async close(): Promise<void> {
    const open = this.#connecting;
    this.#connecting = null;
    const connected = await open?.catch(() => null);
    await connected?.kv.purge(this.#clockKey).catch(() => {});
    await connected?.connection.close();
  }

  async #isHeld(kv: KV, entry: KvEntry, content: Content): Promise<boolean> {
    if (content.ttlMs <= 0) return false;
    const untilMs = untilOf(entry, content);
    if ((await this.#serverMs(kv, CLOCK_CARRIED_MS)) <= untilMs) return true;
    return (await this.#serverMs(kv, CLOCK_FRESH_MS)) <= untilMs;
  }

  /** Never ahead of the server's clock: the stamp is older than the moment at which its write was acknowledged. */
  async #serverMs(kv: KV, carriedMs: number): Promise<number> {
    const { clock } = this.#parts;
    if (this.#seen === null || clock.monotonicMs() - this.#seen.atMs > carriedMs) {
      this.#looking ??= this.#look(kv).finally(() => {
        this.#looking = null;
      });
      this.#seen = await this.#looking;
    }
    return this.#seen.serverMs + clock.monotonicMs() - this.#seen.atMs;
  }

  async #look(kv: KV): Promise<Sighting> {
    const revision = await kv.put(this.#clockKey, '');
    const atMs = this.#parts.clock.monotonicMs();
    const entry = await kv.get(this.#clockKey, { revision });
    if (entry === null) throw new Error('NATS does not have what it has just acknowledged');
    return { serverMs: entry.created.getTime(), atMs };
  }

  /** False when another one was faster. */
  async #write(kv: KV, content: Content, revision: number): Promise<boolean> {
    try {
      await kv.put(this.#key, JSON.stringify(content), { previousSeq: revision });
      return true;
    } catch (error) {
      if (LOST_CODES.has((error as { code?: unknown }).code)) return false;
      throw error;
    }
  }

  async #open(): Promise<KV> {
    this.#connecting ??= this.#connect();
    try {
      return (await this.#connecting).kv;
    } catch (error) {
      this.#connecting = null;
      throw error;
    }
  }

  async #connect(): Promise<{ connection: NatsConnection; kv: KV }> {
    const [{ connect }, { Kvm }, { jetstream }] = await Promise.all([
      import('@nats-io/transport-node'),
      import('@nats-io/kv'),
      import('@nats-io/jetstream'),
    ]);
    const { urls, replicas } = this.#parts.settings;
    const connection = await connect({ ...natsOptions(urls, 'gatehouse-lease'), timeout: TIMEOUT_MS });
    try {
      const js = jetstream(connection, { timeout: TIMEOUT_MS });
      const kv = await new Kvm(js).create(BUCKET, { replicas, history: 1, allow_direct: false, timeout: TIMEOUT_MS });
      return { connection, kv };
    } catch (error) {
      await connection.close();
      throw error;
    }
  }
}

/** Names may have dots where a key may not. */
function encoded(name: string): string {
  return Buffer.from(name).toString('base64url');
}

/** Null for a key that is not there, was deleted, or holds something else. */
function contentOf(entry: KvEntry | null): Content | null {
  if (entry === null || entry.operation !== 'PUT') return null;
  try {
    const { holder, epoch, ttlMs } = JSON.parse(entry.string()) as Partial<Content>;
    const isWhole = typeof holder === 'string' && Number.isSafeInteger(epoch) && typeof ttlMs === 'number';
    return isWhole ? { holder, epoch: epoch as number, ttlMs } : null;
  } catch {
    return null;
  }
}

function untilOf(entry: KvEntry, { ttlMs }: Content): number {
  return entry.created.getTime() + ttlMs;
}

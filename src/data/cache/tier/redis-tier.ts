/**
 * The second tier of the cache: whole responses in Redis, for all gateways. Only who fetches a response for the store
 * in memory asks here first and writes here afterwards. Whatever happens to Redis, a read ends within `timeoutMs`, and
 * what is late, fails or finds the breaker open is a miss; nobody waits for a write. Owner: one worker.
 */

import { hash } from 'node:crypto';
import { messageOf } from '../../../base/errors.ts';
import { systemTimers } from '../../../base/system-timers.ts';
import { TIMING_BOUNDS, timingBucket } from '../../../base/timings.ts';
import {
  type CacheTierSettings,
  type CacheTierTimes,
  goneChannel,
  purgeLogKey,
  purgeSequenceKey,
  readPurge,
  type TierReadResult,
  type TierWriteResult,
} from '../../contract/cache-tier.ts';
import { FillLock, type LockAnswer } from './fill-lock.ts';
import { PurgeMirror } from './purge-mirror.ts';
import type { TierLine } from './tier-line.ts';
import {
  HEAD_OF_VALUE,
  markerValue,
  readObject,
  readVersion,
  type TierObject,
  type TierVersion,
  tombstone,
} from './tier-value.ts';

/** Larger ones would take Redis, which does one thing at a time, too long. */
const MOST_VALUE_BYTES = 1024 ** 2;
/** Values on their way to Redis, of one worker. */
const MOST_WRITING_BYTES = 8 * 1024 ** 2;
/** A marker is kept at least so long, and no shorter than what hangs on it. */
const MARKER_MS = 86_400_000;
/** Fetches that take longer are not written, because the mark of a change is kept no longer. */
export const LONGEST_FETCH_MS = 600_000;

/** What a read found out, which the write after a fetch needs. */
export interface TierTicket {
  readonly version: TierVersion;
  /** Latest purge when the read began. */
  readonly sequence: number;
  readonly atMs: number;
}

/** What is to be written. */
export interface TierWrite {
  readonly firstKey: string;
  readonly ticket: TierTicket;
  /** Fields that choose, those of the marker that is there too. */
  readonly names: readonly string[];
  /** What these fields and the configured parts make of the request; null: everybody gets the same. */
  readonly parts: string | null;
  readonly value: Buffer;
  readonly keptMs: number;
}

export class RedisTier {
  readonly #line: TierLine;
  readonly #settings: CacheTierSettings;
  readonly #now: () => number;
  #mirror = new PurgeMirror();
  #writingBytes = 0;
  #times: { readonly counts: number[]; seconds: number } | null = null;

  /** `now`: monotonic. */
  constructor(line: TierLine, settings: CacheTierSettings, now: () => number) {
    this.#line = line;
    this.#settings = settings;
    this.#now = now;
  }

  /**
   * Reads what is stored under a first key, or under the second one that hangs on it where a marker lies there;
   * `partsOf` says what the marker's fields make of the request. False: nothing can be asked now. Otherwise `done` is
   * called once, later: without a ticket the read failed.
   */
  read(
    firstKey: string,
    hasParts: boolean,
    partsOf: (vary: readonly string[]) => string,
    tagsOf: (head: Buffer) => readonly string[],
    done: (result: TierReadResult, ticket: TierTicket | null, object: TierObject | null) => void,
  ): boolean {
    const connection = this.#line.open;
    if (connection === null) return false;
    this.#bounded(
      async () => {
        const key = this.#keyOf(firstKey);
        const [first, sequence] = await Promise.all([connection.getBuffer(key), this.#sequence(connection)]);
        const ticket = { version: readVersion(first), sequence, atMs: this.#now() };
        const { vary, seen } = ticket.version;
        if (vary === null) return { ticket, object: hasParts ? null : readObject(first) };
        const second = await connection.getBuffer(this.#keyOf(`${seen}${partsOf(vary)}`));
        return { ticket, object: readObject(second) };
      },
      (result, found) => {
        if (found === null) {
          done(result, null, null);
          return;
        }
        const { ticket, object } = found;
        const holds =
          object !== null && !this.#mirror.isPurged(object.sequence, firstKey, tagsOf(object.head)) ? object : null;
        done(holds === null ? 'miss' : 'hit', ticket, holds);
      },
    );
    return true;
  }

  /** What lies there, without the body of it: for a refresh that goes on meanwhile. Null: it is not to be had. */
  look(firstKey: string): Promise<TierTicket | null> {
    const connection = this.#line.open;
    if (connection === null) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#bounded(
        async () => {
          const [first, sequence] = await Promise.all([
            connection.getrangeBuffer(this.#keyOf(firstKey), 0, HEAD_OF_VALUE - 1),
            this.#sequence(connection),
          ]);
          return { version: readVersion(first), sequence, atMs: this.#now() };
        },
        (_result, ticket) => resolve(ticket),
      );
    });
  }

  /** The lock of what a read did not find. `parts`: of the request, by the fields of the marker if there is one. */
  lockOf(firstKey: string, { version }: TierTicket, parts: string): FillLock {
    const key = `${version.vary === null ? `${firstKey}\n` : version.seen}${parts}`;
    return new FillLock(`${this.#settings.prefix}:l:${sha256(key)}`, () => this.#line.openForWrites);
  }

  /** `done` is called once, later; null: Redis does not say. False: it cannot be asked now. */
  take(lock: FillLock, done: (answer: LockAnswer | null) => void): boolean {
    const connection = this.#line.open;
    if (connection === null) return false;
    this.#bounded(
      () => lock.take(connection),
      (_result, answer) => done(answer),
    );
    return true;
  }

  /** May something of this size be written now? Otherwise why not. */
  mayWrite(bytes: number): TierWriteResult | null {
    if (bytes > MOST_VALUE_BYTES) return 'too_large';
    if (this.#line.openForWrites === null) return 'failed';
    if (this.#line.isFull(bytes)) return 'full';
    return this.#writingBytes + bytes > MOST_WRITING_BYTES ? 'busy' : null;
  }

  /** Nobody waits for it. Rejects never. */
  async write(wanted: TierWrite): Promise<TierWriteResult> {
    const { firstKey, ticket, names, parts, value, keptMs } = wanted;
    const connection = this.#line.openForWrites;
    if (connection === null || this.#now() - ticket.atMs > LONGEST_FETCH_MS) return 'failed';
    this.#writingBytes += value.length;
    this.#line.took(value.length);
    try {
      const key = this.#keyOf(firstKey);
      const { seen } = ticket.version;
      if (parts === null)
        return (await connection.gatehouseTierWrite(key, seen, value, keptMs)) === 1 ? 'stored' : 'outdated';
      // The marker first, then what hangs on it; where there is one with all names it only has to stay long enough.
      const isThere = ticket.version.vary?.length === names.length;
      const marker = isThere ? null : markerValue(names);
      if (!isThere && marker === null) return 'failed';
      const markerMs = Math.max(MARKER_MS, keptMs);
      if ((await connection.gatehouseTierWrite(key, seen, marker ?? '', markerMs)) !== 1) return 'outdated';
      const id = marker === null ? seen : readVersion(marker).seen;
      await connection.set(this.#keyOf(`${id}${parts}`), value, 'PX', keptMs);
      return 'stored';
    } catch (error) {
      return messageOf(error).startsWith('OOM') ? 'full' : 'failed';
    } finally {
      this.#writingBytes -= value.length;
    }
  }

  /**
   * What is stored of a first key must not be given to anybody any more, and what is being fetched of it not be
   * stored; other gateways hear of it too. `done`: Redis knows.
   */
  invalidate(firstKey: string, done: () => void): void {
    const connection = this.#line.open;
    if (connection === null) return;
    const { prefix, gateway } = this.#settings;
    Promise.all([
      connection.set(this.#keyOf(firstKey), tombstone(), 'PX', LONGEST_FETCH_MS),
      connection.publish(goneChannel(prefix), `${gateway} ${firstKey}`),
    ]).then(done, () => this.#line.failed());
  }

  close(): void {
    this.#line.close();
  }

  /** Keys are no texts: a URL, a user or a cookie in them is not for everybody who looks into Redis. */
  #keyOf(key: string): string {
    return `${this.#settings.prefix}:o:${sha256(key)}`;
  }

  /** Id of the latest purge, once all that led to it is known here. */
  async #sequence(connection: NonNullable<TierLine['open']>): Promise<number> {
    const { prefix } = this.#settings;
    const latest = Number((await connection.get(purgeSequenceKey(prefix))) ?? 0);
    const known = this.#mirror.latest;
    if (latest === known) return latest;
    // Redis came back with less than it had: what it says now holds, from the moment that all of it is here.
    const isAnew = latest < known;
    const members = await connection.zrangebyscore(purgeLogKey(prefix), isAnew ? '-inf' : `(${known}`, '+inf');
    if (isAnew) this.#mirror = new PurgeMirror();
    this.#mirror.learn(members.flatMap((member) => readPurge(member) ?? []));
    return latest;
  }

  #bounded<T>(ask: () => Promise<T>, end: (result: TierReadResult, found: T | null) => void): void {
    let isOver = false;
    const sinceMs = this.#now();
    const finish = (result: TierReadResult, found: T | null): void => {
      if (isOver) return;
      isOver = true;
      cancel();
      if (found === null) this.#line.failed();
      else {
        this.#line.succeeded();
        this.#took((this.#now() - sinceMs) / 1_000);
      }
      end(result, found);
    };
    const cancel = systemTimers.after(this.#settings.timeoutMs, () => finish('late', null));
    ask().then(
      (found) => finish('hit', found),
      () => finish('failed', null),
    );
  }

  #took(seconds: number): void {
    this.#times ??= { counts: new Array<number>(TIMING_BOUNDS.length + 1).fill(0), seconds: 0 };
    this.#times.counts[timingBucket(seconds)]!++;
    this.#times.seconds += seconds;
  }

  /** Of the questions that were answered since this was asked last; null: there were none. */
  takeTimes(): CacheTierTimes | null {
    const times = this.#times;
    this.#times = null;
    return times;
  }
}

const sha256 = (text: string): string => hash('sha256', text, 'base64url');

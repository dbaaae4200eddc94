/**
 * Pages of a stream out of its engine, for readers that the ring has left behind. A client takes less at a time than a
 * page holds, and clients that reconnect together ask for the same: so the newest pages stay for some seconds, with
 * what was made of their events, and a page that is being read is read once. Bounded in bytes for each stream.
 */
import { comparePositions, type EventEngine } from '../engines/engine.ts';
import { FeedEntry } from './feed-entry.ts';

const PAGE = 500;
/** A stream that was lost and begun anew is not read out of memory for longer. */
const KEPT_FOR_MS = 5_000;

export class Page {
  readonly entries: readonly FeedEntry[];
  readonly bytes: number;
  readonly readMs = performance.now();
  readonly #after: string | null;
  readonly #hasGap: boolean;

  constructor(after: string | null, entries: readonly FeedEntry[], hasGap: boolean) {
    this.#after = after;
    this.#hasGap = hasGap;
    this.entries = entries;
    // Twice: what is made of an event is about as large as the event.
    this.bytes = 2 * entries.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Index of the first entry behind a position; -1: the page does not say what follows it. */
  indexAfter(position: string | null): number {
    if (position === this.#after) return 0;
    const first = this.entries[0]?.event.position;
    const last = this.entries.at(-1)?.event.position;
    if (position === null || first === undefined || last === undefined) return -1;
    if (comparePositions(position, first) < 0 || comparePositions(position, last) >= 0) return -1;
    return firstAfter(this.entries, position);
  }

  /** Events between a position and the entry behind it are missing. */
  hasGapAfter(position: string | null): boolean {
    return this.#hasGap && position === this.#after;
  }
}

export class Pages {
  readonly #engine: EventEngine;
  readonly #stream: string;
  readonly #mostBytes: number;
  /** Newest last. */
  #kept: Page[] = [];
  #bytes = 0;
  readonly #underWay = new Map<string | null, Promise<Page>>();
  /** Counts what `clear` ended: a page whose reading began before is not kept. */
  #generation = 0;
  #cleaning: NodeJS.Timeout | undefined;

  constructor(engine: EventEngine, stream: string, mostBytes: number) {
    this.#engine = engine;
    this.#stream = stream;
    this.#mostBytes = mostBytes;
  }

  /**
   * The page that goes on behind a position (null: from the oldest kept). Rejects when the engine is away. `isAlone`: no
   * other reader is behind the ring, and what this one has read is of no use any more.
   */
  async after(position: string | null, isAlone = false): Promise<Page> {
    const oldestMs = performance.now() - KEPT_FOR_MS;
    const kept = this.#kept.findLast((page) => page.readMs > oldestMs && page.indexAfter(position) >= 0);
    if (kept !== undefined) return kept;
    // What stays in memory for seconds costs the collector more than reading it cost.
    if (isAlone) this.#drop();
    let reading = this.#underWay.get(position);
    if (reading === undefined) {
      const begun = this.#read(position).finally(() => {
        if (this.#underWay.get(position) === begun) this.#underWay.delete(position);
      });
      this.#underWay.set(position, begun);
      reading = begun;
    }
    return reading;
  }

  async #read(position: string | null): Promise<Page> {
    const generation = this.#generation;
    const { events, hasGap } = await this.#engine.read(this.#stream, position, PAGE);
    const page = new Page(
      position,
      events.map((event) => new FeedEntry(event)),
      hasGap,
    );
    const isCurrent = generation === this.#generation;
    if (isCurrent && events.length > 0 && page.bytes <= this.#mostBytes) this.#keep(page);
    return page;
  }

  #keep(page: Page): void {
    this.#kept.push(page);
    this.#bytes += page.bytes;
    while (this.#bytes > this.#mostBytes) this.#bytes -= this.#kept.shift()!.bytes;
    this.#cleaning ??= setTimeout(() => this.#clean(), KEPT_FOR_MS).unref();
  }

  #clean(): void {
    this.#cleaning = undefined;
    const oldestMs = performance.now() - KEPT_FOR_MS;
    this.#kept = this.#kept.filter((page) => page.readMs > oldestMs);
    this.#bytes = this.#kept.reduce((sum, { bytes }) => sum + bytes, 0);
    if (this.#kept.length > 0) this.#cleaning = setTimeout(() => this.#clean(), KEPT_FOR_MS).unref();
  }

  #drop(): void {
    this.#kept.length = 0;
    this.#bytes = 0;
  }

  /** What is kept, or is being read, may not be what the engine has any more. */
  clear(): void {
    this.#generation++;
    this.#drop();
    this.#underWay.clear();
  }
}

/** Index of the first of them that lies behind a position. */
export function firstAfter(entries: readonly FeedEntry[], position: string): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (comparePositions(entries[middle]!.event.position, position) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

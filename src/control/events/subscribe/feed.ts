/**
 * The events of one stream for all who read it in this process: one reader of the engine, a ring of the newest events,
 * and a reader per subscriber that is nothing but a position. A reader that is up to date is handed each event as it
 * comes; one that cannot take more stops, and later goes on from its position: out of the ring, or out of the engine
 * when the ring has moved on. So memory does not grow with slow readers, and no reader gets less than is kept.
 */
import { Timings } from '../../../base/timings.ts';
import type { SubjectTest } from '../../../data/contract/subjects.ts';
import { comparePositions, type EventEngine, positionBefore, type StoredEvent, type Tail } from '../engines/engine.ts';
import type { Cursor } from './cursor.ts';
import { FeedEntry } from './feed-entry.ts';
import { firstAfter, Pages } from './pages.ts';

/** What reads the feed: a connection of a subscriber, a consumer. */
export interface Sink {
  /** False: no more until `resume` of the reader. The event that it was given counts as taken. */
  event(entry: FeedEntry): boolean;
  /** Events are missing between the one before and the next. */
  gap(): void;
  /** The stream was begun anew, and positions with it; behind `gap`. */
  begunAnew?(): void;
  /** It is too slow for its policy; nothing follows. */
  tooSlow?(): void;
}

export interface FeedLimits {
  readonly ringEvents: number;
  readonly ringBytes: number;
}

const DEFAULT_LIMITS: FeedLimits = { ringEvents: 5_000, ringBytes: 8 * 1024 ** 2 };
const AGAIN_AFTER_MS = 500;

/** Of all feeds of the thread. */
export const FAN_OUT = new Timings(
  'gatehouse_events_fan_out_seconds',
  'Time of handing events that came together to all readers of a stream',
  'stream',
);

export type SlowPolicy = 'catch-up' | 'gap' | 'close';

export class Feed {
  readonly stream: string;
  readonly engine: EventEngine;
  /** For readers that are behind the ring. */
  readonly pages: Pages;
  readonly #limits: FeedLimits;
  readonly #readers = new Set<Reader>();
  readonly #ring: FeedEntry[] = [];
  #ringBytes = 0;
  /** Position before the ring's first entry; null: the ring holds the stream from its beginning. */
  #base: string | null = null;
  /** Position of the newest event that has come. */
  #head: string | null = null;
  #tail: Tail | null = null;
  #starting: Promise<void> | null = null;
  /** Since the gap nothing has come: what comes may be of a stream that was begun anew. */
  #isAfterGap = false;
  fannedOut = 0;
  /** Readers that are not handed events as they come. */
  behind = 0;

  constructor(engine: EventEngine, stream: string, limits: FeedLimits = DEFAULT_LIMITS) {
    this.engine = engine;
    this.stream = stream;
    this.#limits = limits;
    this.pages = new Pages(engine, stream, limits.ringBytes);
  }

  get readers(): number {
    return this.#readers.size;
  }

  get head(): string | null {
    return this.#head;
  }

  /** Resolves when the engine has said where the stream is. Rejects when it is away. */
  start(): Promise<void> {
    this.#starting ??= this.#begin().catch((error: unknown) => {
      this.#starting = null;
      throw error;
    });
    return this.#starting;
  }

  async #begin(): Promise<void> {
    const latest = await this.engine.latest(this.stream);
    this.#base = latest;
    this.#head = latest;
    this.#tail = this.engine.tail(this.stream, latest, {
      onEvents: (events) => this.#onEvents(events),
      onGap: () => this.#onGap(),
    });
  }

  /**
   * A position that the stream does not have yet, of a stream that was lost or another: whoever waited there would miss
   * all up to it. False while the engine cannot say.
   */
  async isAhead(position: string): Promise<boolean> {
    if (this.#head !== null && comparePositions(position, this.#head) <= 0) return false;
    try {
      // Another process may see further than this one.
      const latest = await this.engine.latest(this.stream);
      return latest === null || comparePositions(position, latest) > 0;
    } catch {
      return false;
    }
  }

  /**
   * The place of a client that comes again is none of this stream: it is ahead of it, or another event is there, since
   * the stream was begun anew or restored from an older copy. What followed the client's event is not known. False
   * while the engine cannot say.
   */
  async isLost({ position, print }: Cursor): Promise<boolean> {
    if (await this.isAhead(position)) return true;
    if (print === null) return false;
    const before = positionBefore(position);
    const index = this.indexAfter(before);
    let there = index === null ? undefined : this.#ring[index];
    if (there === undefined) {
      try {
        // The client goes on in this page, and who comes with it too.
        const page = await this.pages.after(before);
        there = page.entries[page.indexAfter(before)];
      } catch {
        return false;
      }
    }
    // One that was removed is what gaps are stated for.
    return there !== undefined && there.event.position === position && there.print !== print;
  }

  /** After `start`. `after`: a position, null for the oldest event kept, undefined for what comes from now on. */
  read(after: string | null | undefined, test: SubjectTest, sink: Sink, slow: SlowPolicy = 'catch-up'): Reader {
    const reader = new Reader(this, after === undefined ? this.#head : after, test, sink, slow, () => {
      this.#readers.delete(reader);
    });
    // An empty stream has no position yet: what comes from now on is all that it has.
    this.#readers.add(reader);
    reader.resume();
    return reader;
  }

  #onEvents(events: readonly StoredEvent[]): void {
    const [first] = events;
    if (this.#isAfterGap && first !== undefined) this.#resume(first.position);
    const from = this.#ring.length;
    const added: FeedEntry[] = [];
    for (const event of events) {
      if (this.#head !== null && comparePositions(event.position, this.#head) <= 0) continue;
      this.#head = event.position;
      const entry = new FeedEntry(event);
      added.push(entry);
      this.#ring.push(entry);
      this.#ringBytes += entry.bytes;
    }
    if (this.#ring.length === from) return;
    const beganMs = performance.now();
    for (const reader of this.#readers) if (reader.isLive) reader.take(added);
    FAN_OUT.add(this.stream, (performance.now() - beganMs) / 1_000);
    this.fannedOut += added.length;
    this.#shrink();
  }

  #shrink(): void {
    let drop = 0;
    const { ringEvents, ringBytes } = this.#limits;
    while (drop < this.#ring.length && (this.#ring.length - drop > ringEvents || this.#ringBytes > ringBytes)) {
      this.#ringBytes -= this.#ring[drop]!.bytes;
      this.#base = this.#ring[drop]!.event.position;
      drop++;
    }
    if (drop > 0) this.#ring.splice(0, drop);
  }

  /** The first event behind a gap. Where it is not behind what there was, the stream was begun anew. */
  #resume(position: string): void {
    this.#isAfterGap = false;
    if (this.#head === null || comparePositions(position, this.#head) > 0) return;
    const before = positionBefore(position);
    this.#base = before;
    this.#head = before;
    for (const reader of this.#readers) reader.restart(before);
  }

  #onGap(): void {
    this.#isAfterGap = true;
    this.#ring.length = 0;
    this.#ringBytes = 0;
    this.#base = this.#head;
    this.pages.clear();
    for (const reader of this.#readers) if (reader.isLive) reader.gap();
  }

  /** Where the ring goes on after a position: an index, or null when older events would be needed. */
  indexAfter(position: string | null): number | null {
    if (this.#base !== null && (position === null || comparePositions(position, this.#base) < 0)) return null;
    return position === null ? 0 : firstAfter(this.#ring, position);
  }

  entry(index: number): FeedEntry | undefined {
    return this.#ring[index];
  }

  get base(): string | null {
    return this.#base;
  }

  stop(): void {
    this.#tail?.stop();
    this.#tail = null;
    this.pages.clear();
    for (const reader of this.#readers) reader.close();
  }
}

export class Reader {
  readonly #feed: Feed;
  readonly #test: SubjectTest;
  readonly #sink: Sink;
  readonly #slow: SlowPolicy;
  readonly #gone: () => void;
  #position: string | null;
  /** Of the event at the position; null: it is none's, or not known. */
  #print: string | null = null;
  #isLive = false;
  #isPumping = false;
  #isClosed = false;
  #hasBegun = false;
  #again: NodeJS.Timeout | undefined;

  constructor(feed: Feed, position: string | null, test: SubjectTest, sink: Sink, slow: SlowPolicy, gone: () => void) {
    this.#feed = feed;
    this.#position = position;
    this.#test = test;
    this.#sink = sink;
    this.#slow = slow;
    this.#gone = gone;
    feed.behind++;
  }

  /** Handed each event as it comes. */
  get isLive(): boolean {
    return this.#isLive;
  }

  #setLive(isLive: boolean): void {
    if (isLive === this.#isLive) return;
    this.#isLive = isLive;
    this.#feed.behind += isLive ? -1 : 1;
  }

  /** Everything up to here was handed over or was not for this reader. */
  get position(): string | null {
    return this.#position;
  }

  /** Where a client goes on that has what was handed over. */
  get cursor(): Cursor | null {
    return this.#position === null ? null : { position: this.#position, print: this.#print };
  }

  /** The sink takes events again. */
  resume(): void {
    if (this.#isLive || this.#isPumping || this.#isClosed) return;
    this.#isPumping = true;
    void this.#pump();
  }

  take(entries: readonly FeedEntry[]): void {
    for (const entry of entries) {
      if (!this.#give(entry)) {
        // Who was closed meanwhile is none any more.
        if (!this.#isClosed) this.#setLive(false);
        return;
      }
      if (this.#isClosed) return;
    }
  }

  gap(): void {
    this.#sink.gap();
  }

  /** The stream was begun anew, and its positions with it. One that is live has heard of the gap. */
  restart(position: string | null): void {
    if (!this.#isLive) this.#sink.gap();
    this.#position = position;
    this.#print = null;
    this.#sink.begunAnew?.();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (!this.#isLive) this.#feed.behind--;
    this.#isLive = false;
    clearTimeout(this.#again);
    this.#gone();
  }

  /** To a place whose event is not known. */
  #moveTo(position: string | null): void {
    if (position !== this.#position) this.#print = null;
    this.#position = position;
  }

  /** False when the sink wants no more for now. */
  #give(entry: FeedEntry): boolean {
    // A reader may come from a process that saw more than this one has yet.
    if (this.#position !== null && comparePositions(entry.event.position, this.#position) <= 0) return true;
    return this.#hand(entry);
  }

  /** One that is behind its position. */
  #hand(entry: FeedEntry): boolean {
    const { position, subject } = entry.event;
    this.#position = position;
    this.#print = entry.print;
    return this.#test(subject) ? this.#sink.event(entry) : true;
  }

  async #pump(): Promise<void> {
    try {
      while (!this.#isClosed) {
        const index = this.#feed.indexAfter(this.#position);
        if (index !== null) {
          if (this.#giveRing(index)) this.#setLive(!this.#isClosed);
          break;
        }
        if (this.#hasBegun && this.#slow !== 'catch-up') {
          if (!this.#fallBehind()) break;
          continue;
        }
        if (!(await this.#givePage())) break;
      }
    } catch {
      // The engine is away: the connection stays and goes on where it was.
      this.#again = setTimeout(() => this.resume(), AGAIN_AFTER_MS);
    }
    this.#isPumping = false;
  }

  /** True at the end of the ring, false when the sink wants no more. */
  #giveRing(from: number): boolean {
    this.#hasBegun = true;
    for (let i = from; ; i++) {
      const entry = this.#feed.entry(i);
      if (entry === undefined) return true;
      if (!this.#give(entry) || this.#isClosed) return false;
    }
  }

  /** What the policy says for one that the ring has left behind. False: it is over. */
  #fallBehind(): boolean {
    if (this.#slow === 'close') {
      this.#sink.tooSlow?.();
      this.close();
      return false;
    }
    this.#moveTo(this.#feed.base);
    this.#sink.gap();
    return true;
  }

  /** A page out of the engine. False when the sink wants no more. */
  async #givePage(): Promise<boolean> {
    const page = await this.#feed.pages.after(this.#position, this.#feed.behind === 1);
    if (this.#isClosed) return false;
    if (page.hasGapAfter(this.#position)) this.#sink.gap();
    const { base } = this.#feed;
    const { entries } = page;
    const last = entries.at(-1);
    const isBeforeRing = last !== undefined && base !== null && comparePositions(last.event.position, base) <= 0;
    let reachedRing = entries.length === 0;
    for (let i = page.indexAfter(this.#position); i < entries.length; i++) {
      const entry = entries[i]!;
      if (!isBeforeRing && base !== null && comparePositions(entry.event.position, base) > 0) {
        reachedRing = true;
        break;
      }
      if (!this.#hand(entry) || this.#isClosed) return false;
    }
    // Nothing before the ring is left: the ring is where the stream goes on.
    if (reachedRing) this.#moveTo(base);
    return true;
  }
}

/**
 * Follows a stream by reading pages of it whenever it is woken, and at a pace in any case: what comes after a position,
 * in order, each event once, whatever happens to the engine in between. For engines that can say that something is new
 * more easily than they can hand it over.
 */
import {
  comparePositions,
  type Page,
  positionBefore,
  type StoredEvent,
  type Tail,
  type TailHandler,
} from './engine.ts';
import { printOf } from './event-print.ts';

export interface PagedStream {
  read(after: string | null, limit: number): Promise<Page>;
  latest(): Promise<string | null>;
}

const PAGE = 500;

/**
 * A stream that was emptied is followed from its end on, unless something has come meanwhile; one that ends before
 * `after` was begun anew, and everything in it is new.
 */
async function afterGap(
  stream: PagedStream,
  after: string | null,
): Promise<{ readonly after: string | null; readonly hasMore: boolean }> {
  const end = await stream.latest();
  const isAnew = after !== null && end !== null && comparePositions(end, after) < 0;
  const from = isAnew ? null : after;
  const hasMore = (await stream.read(from, 1)).events.length > 0;
  return { after: hasMore || isAnew ? from : end, hasMore };
}

/** Everything up to here was handed over; null: nothing, of a stream that is read from its oldest event on. */
export interface Place {
  after: string | null;
  /** Of the event at `after` (event-print.ts); null: none is known. */
  print: string | null;
}

export function moveTo(place: Place, last: StoredEvent): void {
  place.after = last.position;
  place.print = printOf(last);
}

/**
 * After a break: whether another event has the position of the last one that was handed over. The stream was begun anew
 * then, or restored from an older copy, and has passed the place meanwhile. Finds out what is there when nothing is
 * known of it.
 */
export async function isOther(stream: Pick<PagedStream, 'read'>, place: Place): Promise<boolean> {
  const { after } = place;
  if (after === null) return false;
  const { events } = await stream.read(positionBefore(after), 1);
  const [there] = events;
  // One that is gone is what gaps are stated for.
  if (there === undefined || there.position !== after) return false;
  const print = printOf(there);
  if (place.print !== null) return place.print !== print;
  place.print = print;
  return false;
}

/** Everything that there is now is new. */
export async function beginAnewIfOther(
  stream: Pick<PagedStream, 'read'>,
  place: Place,
  handler: TailHandler,
  isStopped: () => boolean,
): Promise<void> {
  if (!(await isOther(stream, place)) || isStopped()) return;
  place.after = null;
  place.print = null;
  handler.onGap();
}

/**
 * Hands over what there is behind a place, page by page, and tells of gaps; resolves at the end of the stream, or when
 * it was stopped. `shortIsEnd`: a page that is not full is the last.
 */
export async function catchUp(
  stream: PagedStream,
  place: Place,
  handler: TailHandler,
  isStopped: () => boolean,
  shortIsEnd = false,
): Promise<void> {
  for (;;) {
    const { events, hasGap } = await stream.read(place.after, PAGE);
    if (isStopped()) return;
    if (hasGap) handler.onGap();
    const last = events.at(-1);
    if (last !== undefined) {
      moveTo(place, last);
      handler.onEvents(events);
      if (shortIsEnd && events.length < PAGE) return;
      continue;
    }
    if (!hasGap) return;
    const next = await afterGap(stream, place.after);
    if (next.after !== place.after) place.print = null;
    place.after = next.after;
    if (!next.hasMore) return;
  }
}

export class PagingTail implements Tail {
  readonly #stream: PagedStream;
  readonly #handler: TailHandler;
  readonly #gone: () => void;
  readonly #everyMs: () => number;
  #timer: NodeJS.Timeout | undefined;
  readonly #place: Place;
  #looking = false;
  #again = false;
  /** The engine was away, or nothing was read yet. */
  #mayBeOther = true;
  #stopped = false;

  /** `everyMs` is asked each time. */
  constructor(
    stream: PagedStream,
    after: string | null,
    handler: TailHandler,
    everyMs: () => number,
    gone: () => void,
  ) {
    this.#stream = stream;
    this.#place = { after, print: null };
    this.#handler = handler;
    this.#gone = gone;
    this.#everyMs = everyMs;
    this.#plan();
  }

  #plan(): void {
    this.#timer = setTimeout(() => {
      this.look();
      this.#plan();
    }, this.#everyMs()).unref();
  }

  look(): void {
    this.#again = true;
    if (!this.#looking) void this.#look();
  }

  async #look(): Promise<void> {
    this.#looking = true;
    while (this.#again && !this.#stopped) {
      this.#again = false;
      try {
        if (this.#mayBeOther) await beginAnewIfOther(this.#stream, this.#place, this.#handler, () => this.#stopped);
        if (this.#stopped) break;
        this.#mayBeOther = false;
        await catchUp(this.#stream, this.#place, this.#handler, () => this.#stopped, true);
      } catch {
        this.#mayBeOther = true;
        // The engine is away: the next look tries again, and its publishers report it.
      }
    }
    this.#looking = false;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#gone();
  }
}

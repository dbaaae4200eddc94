/**
 * Follows a stream by reading pages of it whenever it is woken, and at a pace in any case: what comes after a position,
 * in order, each event once, whatever happens to the engine in between. For engines that can say that something is new
 * more easily than they can hand it over.
 */
import type { Page, Tail, TailHandler } from './engine.ts';

export interface PagedStream {
  read(after: string | null, limit: number): Promise<Page>;
  latest(): Promise<string | null>;
}

const PAGE = 500;

/** A stream that was emptied, or begun anew, is followed from its end on, unless something has come meanwhile. */
export async function afterGap(
  stream: PagedStream,
  after: string | null,
): Promise<{ readonly after: string | null; readonly hasMore: boolean }> {
  const end = await stream.latest();
  const hasMore = (await stream.read(after, 1)).events.length > 0;
  return { after: hasMore ? after : end, hasMore };
}

export class PagingTail implements Tail {
  readonly #stream: PagedStream;
  readonly #handler: TailHandler;
  readonly #gone: () => void;
  readonly #everyMs: () => number;
  #timer: NodeJS.Timeout | undefined;
  #after: string | null;
  #looking = false;
  #again = false;
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
    this.#after = after;
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
        for (;;) {
          const { events, hasGap } = await this.#stream.read(this.#after, PAGE);
          if (this.#stopped) break;
          if (hasGap) this.#handler.onGap();
          const last = events.at(-1);
          if (last === undefined) {
            if (!hasGap) break;
            const next = await afterGap(this.#stream, this.#after);
            this.#after = next.after;
            if (next.hasMore) continue;
            break;
          }
          this.#after = last.position;
          this.#handler.onEvents(events);
          if (events.length < PAGE) break;
        }
      } catch {
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

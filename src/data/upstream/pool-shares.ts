/**
 * How much of one pool each address has, so that none has all of it: connections (over HTTP/2 streams) that it holds,
 * and requests that wait. The gateway's own requests have no address and no limit. Owner: the pool.
 */
import type { StreamWaiter } from '../exchange/upstream-stream.ts';
import type { Source } from '../wire/sources.ts';

/** What one address has of one pool. */
export class Holding<Q extends Waiter<Q>> {
  /** Null: the gateway itself. */
  readonly source: Source | null;
  held = 0;
  readonly waiting = new Set<Q>();

  constructor(source: Source | null) {
    this.source = source;
  }
}

/** One who waits for a stream. */
export interface Waiter<Q extends Waiter<Q>> {
  readonly waiter: StreamWaiter;
  readonly holding: Holding<Q>;
}

/** Above this many addresses those that have nothing any more are forgotten. */
const LOOKED_OVER = 64;

export class PoolShares<Q extends Waiter<Q>> {
  /** Most connections of one address. */
  mostHeld = Infinity;
  /** Most waiting requests of one address. */
  mostWaiting = Infinity;
  readonly #holdings = new Map<Source, Holding<Q>>();
  readonly #own = new Holding<Q>(null);
  /** Those with waiters; the one just served goes to the end. */
  readonly #queue = new Set<Holding<Q>>();
  readonly #waiters = new Map<StreamWaiter, Q>();
  #lookedOverAt = LOOKED_OVER;

  of(source: Source | null): Holding<Q> {
    if (source === null) return this.#own;
    let holding = this.#holdings.get(source);
    if (holding === undefined) {
      if (this.#holdings.size >= this.#lookedOverAt) this.#forgetIdle();
      holding = new Holding<Q>(source);
      this.#holdings.set(source, holding);
    }
    return holding;
  }

  #forgetIdle(): void {
    for (const [source, { held, waiting }] of this.#holdings)
      if (held === 0 && waiting.size === 0) this.#holdings.delete(source);
    this.#lookedOverAt = Math.max(LOOKED_OVER, this.#holdings.size * 2);
  }

  mayHold(holding: Holding<Q>): boolean {
    return holding.held < this.mostHeld || holding.source === null;
  }

  // --- who waits ---------------------------------------------------------------------------------------------

  get waiting(): number {
    return this.#waiters.size;
  }

  mayWait(holding: Holding<Q>): boolean {
    return holding.waiting.size < this.mostWaiting || holding.source === null;
  }

  wait(waiting: Q): void {
    this.#waiters.set(waiting.waiter, waiting);
    waiting.holding.waiting.add(waiting);
    this.#queue.add(waiting.holding);
  }

  find(waiter: StreamWaiter): Q | undefined {
    return this.#waiters.get(waiter);
  }

  stopWaiting(waiting: Q): void {
    const { holding } = waiting;
    this.#waiters.delete(waiting.waiter);
    holding.waiting.delete(waiting);
    if (holding.waiting.size === 0) this.#queue.delete(holding);
  }

  /** Whose turn it is: addresses in turn, each in its own order. Not those that hold all they may. */
  next(): Q | null {
    for (const holding of this.#queue) {
      if (!this.mayHold(holding)) continue;
      this.#queue.delete(holding);
      this.#queue.add(holding);
      for (const waiting of holding.waiting) return waiting;
    }
    return null;
  }

  /** All of them, in no order that matters. */
  get all(): Iterable<Q> {
    return this.#waiters.values();
  }
}

/** Of `most`, rounded up; 100 % is no limit. */
export function shareOf(most: number, share: number): number {
  return share >= 1 ? Infinity : Math.max(1, Math.ceil(most * share));
}

export function shareCause<Q extends Waiter<Q>>({ source, held, waiting }: Holding<Q>): string {
  return `${source?.name} holds ${held} connections to the instance and waits for ${waiting.size}, as many as one address may`;
}

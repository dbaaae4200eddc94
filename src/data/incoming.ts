/** What one request head needs of memory; kept and reused, since typed arrays are dear to make (about a microsecond). */
import { Meaning } from './parser/framing.ts';
import { Head } from './parser/head.ts';
import { Target } from './parser/target.ts';
import { RouteMatchResult } from './router/match-result.ts';

export class Incoming {
  readonly head: Head;
  readonly meaning = new Meaning();
  /** A promise was waited for with this in sight; it may still be looked at when its exchange has long ended. */
  isShared = false;
  readonly target = new Target();
  readonly matched = new RouteMatchResult();

  constructor(maxFields: number) {
    this.head = new Head(maxFields);
  }
}

/** A small stock; what it does not hold is left to the garbage collector. */
export class IncomingStock {
  readonly #stock: Incoming[] = [];
  readonly #maxFields: number;

  constructor(maxFields: number) {
    this.#maxFields = maxFields;
  }

  take(): Incoming {
    return this.#stock.pop() ?? new Incoming(this.#maxFields);
  }

  give(incoming: Incoming): void {
    if (!incoming.isShared && this.#stock.length < 64) this.#stock.push(incoming);
  }
}

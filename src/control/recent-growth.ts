/**
 * How much a count has grown lately, for those who ask what is wrong now: a count since the start does not say. Looks
 * every half minute and remembers five minutes, while what it counts is on. Owner: the feature that counts.
 */

const LOOK_MS = 30_000;
const REMEMBERED = 10;

/** The time that `lately` is about, in words. */
export const LATELY = 'in the last 5 minutes';

export class RecentGrowth {
  readonly #read: () => number;
  /** Oldest first. */
  readonly #seen: number[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** `read`: the count, which never falls. */
  constructor(read: () => number) {
    this.#read = read;
  }

  /** Looks on while `isOn`; said again, it changes nothing. */
  keep(isOn: boolean): void {
    if (isOn) this.start();
    else this.stop();
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.look();
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref();
  }

  /** Forgets what it saw: by the next start it is not lately any more. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#seen.length = 0;
  }

  look(): void {
    this.#seen.push(this.#read());
    if (this.#seen.length > REMEMBERED) this.#seen.shift();
  }

  /** 0 before the start. */
  get lately(): number {
    const [oldest] = this.#seen;
    return oldest === undefined ? 0 : this.#read() - oldest;
  }
}

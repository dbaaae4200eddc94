/**
 * Standard output and standard error of the process. A reader that does not read costs neither memory without end nor
 * the end of the process: what is not taken is kept up to a bound, further writes are dropped and counted, and a line
 * says how many when there is room again. A reader that has gone away ends nothing. One of each per process, written
 * to by the main thread only; what handlers print in workers passes it as well.
 */
import type { Writable } from 'node:stream';

/** Kept for a reader that does not read. */
const MOST_UNREAD_BYTES = 4 * 1024 ** 2;
/** How long an end waits for a reader that takes nothing, and how often for one that takes some. */
const LAST_WAIT_MS = 500;
const MOST_LAST_WAITS = 6;

export class ProcessOutput {
  readonly #open: () => Writable;
  #stream: Writable | null = null;
  /** Whether what nobody reads is dropped. Otherwise all of it is kept, as a command's result must be. */
  isBounded: boolean;
  #dropped = 0;
  #unsaid = 0;

  /** `open`: opening a standard stream changes its mode, so it is done at the first write. */
  constructor(open: () => Writable, isBounded: boolean) {
    this.#open = open;
    this.isBounded = isBounded;
  }

  /** Writes that nobody has read or will. */
  get dropped(): number {
    return this.#dropped;
  }

  write(text: string | Uint8Array, isBounded: boolean = this.isBounded): void {
    const stream = this.#opened();
    if (isBounded && stream.writableLength > MOST_UNREAD_BYTES) {
      this.#lost();
      return;
    }
    if (this.#unsaid > 0) this.#sayHowMany(stream);
    stream.write(text, this.#onWritten);
  }

  /** Resolves when everything is taken, or when it is clear that nobody reads. */
  async taken(): Promise<void> {
    const stream = this.#stream;
    if (stream === null) return;
    for (let tries = 0; tries < MOST_LAST_WAITS && stream.writableLength > 0; tries++) {
      const before = stream.writableLength;
      await waitFor(stream, LAST_WAIT_MS);
      if (stream.writableLength >= before) return;
    }
  }

  #opened(): Writable {
    if (this.#stream === null) {
      this.#stream = this.#open();
      // A reader that goes away is an error of each write, which is counted there.
      this.#stream.on('error', () => {});
    }
    return this.#stream;
  }

  readonly #onWritten = (error?: Error | null): void => {
    if (error !== undefined && error !== null) this.#lost();
  };

  #lost(): void {
    this.#dropped++;
    this.#unsaid++;
  }

  #sayHowMany(stream: Writable): void {
    const writes = this.#unsaid;
    const line = { time: new Date().toISOString(), level: 'warn', message: LOST, writes };
    this.#unsaid = 0;
    stream.write(`${JSON.stringify(line)}\n`, (error) => {
      // It is none of what is counted; the next one says what it would have said.
      if (error !== undefined && error !== null) this.#unsaid += writes;
    });
  }
}

const LOST = 'what was written here is lost: it was not read in time';

/** Resolves when the stream has written all it has, or after `ms`. */
function waitFor(stream: Writable, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stream.write('', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

export const standardOutput = new ProcessOutput(() => process.stdout, false);
export const standardError = new ProcessOutput(() => process.stderr, true);

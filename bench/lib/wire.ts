/**
 * A small HTTP/1.1 message reader for the two ends of a benchmark, load and upstream. It trusts its peers: lengths and
 * chunks are followed, nothing is validated, because both ends are ours and the proxy between them is what is judged.
 */

/** What a reader tells its owner. `start` is the first line; fields are looked up with `field`. */
export interface MessageEvents {
  head(head: string): void;
  body(chunk: Buffer): void;
  end(): void;
}

const endOfHead = Buffer.from('\r\n\r\n');

/** Value of a field in a head, by its lower-case name; undefined if absent. */
export function field(head: string, name: string): string | undefined {
  const at = head.toLowerCase().indexOf(`\r\n${name}:`);
  if (at < 0) return undefined;
  const from = at + name.length + 3;
  const to = head.indexOf('\r\n', from);
  return head.slice(from, to < 0 ? head.length : to).trim();
}

export class MessageReader {
  #events: MessageEvents;
  /** Bytes of an unfinished head or chunk line. */
  #rest: Buffer | undefined;
  #state: 'head' | 'length' | 'chunk-line' | 'chunk-data' | 'trailer' = 'head';
  #remaining = 0;

  constructor(events: MessageEvents) {
    this.#events = events;
  }

  /** Reads on. Chunks passed to `body` are views of `bytes`. */
  feed(bytes: Buffer): void {
    let data = this.#rest === undefined ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#rest = undefined;
    while (data.length > 0) {
      const next = this.#step(data);
      if (next === undefined) {
        this.#rest = Buffer.from(data);
        return;
      }
      data = next;
    }
  }

  /** One element of the message; undefined if it is not complete yet. */
  #step(data: Buffer): Buffer | undefined {
    if (this.#state === 'head') return this.#head(data);
    if (this.#state === 'length' || this.#state === 'chunk-data') return this.#data(data);
    const lineEnd = data.indexOf('\r\n');
    if (lineEnd < 0) return undefined;
    this.#line(data.latin1Slice(0, lineEnd));
    return data.subarray(lineEnd + 2);
  }

  #head(data: Buffer): Buffer | undefined {
    const end = data.indexOf(endOfHead);
    if (end < 0) return undefined;
    const head = data.latin1Slice(0, end);
    this.#events.head(head);
    this.#remaining = Number(field(head, 'content-length') ?? 0);
    if (/\bchunked\b/i.test(field(head, 'transfer-encoding') ?? '')) this.#state = 'chunk-line';
    else if (this.#remaining > 0) this.#state = 'length';
    else this.#events.end();
    return data.subarray(end + 4);
  }

  #data(data: Buffer): Buffer {
    const take = Math.min(this.#remaining, data.length);
    this.#remaining -= take;
    this.#events.body(take === data.length ? data : data.subarray(0, take));
    if (this.#remaining === 0) {
      if (this.#state === 'chunk-data') this.#state = 'chunk-line';
      else this.#finish();
    }
    return data.subarray(take);
  }

  #line(line: string): void {
    if (this.#state === 'trailer') {
      if (line === '') this.#finish();
      return;
    }
    if (line === '') return; // the line end after a chunk's data
    this.#remaining = Number.parseInt(line, 16);
    this.#state = this.#remaining === 0 ? 'trailer' : 'chunk-data';
  }

  #finish(): void {
    this.#state = 'head';
    this.#events.end();
  }
}

/** The trailers of a message (RFC 9113 §8.1): a field block behind the body. One reader per thread. */
import { CONNECTION, KEEP_ALIVE, OTHER, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE } from '../parser/field-names.ts';
import { Head } from '../parser/head.ts';
import { HeadBuilder } from '../parser/head-builder.ts';
import type { FieldSink } from './hpack/decoder.ts';
import { COOKIE, FIRST_PSEUDO } from './hpack/field-kinds.ts';

const MAX_BYTES = 32 * 1024;
const MAX_FIELDS = 64;
const FIRST_MEMORY = Buffer.allocUnsafeSlow(4096);

class TrailerReader implements FieldSink {
  readonly #head = new Head(MAX_FIELDS);
  readonly #builder = new HeadBuilder(this.#head, FIRST_MEMORY, MAX_BYTES);
  /** They make the message malformed (§8.1, §8.2). */
  isMalformed = false;
  isTooLarge = false;

  begin(): void {
    this.#builder.restart(FIRST_MEMORY);
    this.isMalformed = false;
    this.isTooLarge = false;
  }

  onField(bytes: Buffer, start: number, nameLength: number, valueLength: number, kind: number): void {
    switch (kind) {
      case CONNECTION:
      case KEEP_ALIVE:
      case PROXY_CONNECTION:
      case TRANSFER_ENCODING:
      case UPGRADE:
        this.isMalformed = true;
        return;
      default:
        // No pseudo-field may be among them, nor what no message may have.
        if (kind >= FIRST_PSEUDO && kind !== COOKIE) this.isMalformed = true;
    }
    if (this.isMalformed || this.isTooLarge) return;
    if (!this.#builder.line(bytes, start, nameLength, valueLength, kind === COOKIE ? OTHER : kind))
      this.isTooLarge = true;
  }

  /** Good until the next ones. */
  finish(): Head {
    this.#builder.end();
    return this.#head;
  }
}

export const trailerReader: TrailerReader = new TrailerReader();

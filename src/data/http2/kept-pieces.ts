/**
 * Parts of field blocks as an encoder has written them before, to be written once more as long as its table is what it
 * was: the pseudo-fields of requests to the same URL, and what passes of a head that many messages share. Nothing that
 * may be a secret is kept, nor what the encoder would write in another way the next time. Owner: one head encoder.
 */
import type { DropMask } from '../parser/head-writer.ts';
import type { HpackEncoder } from './hpack/encoder.ts';

/** Longer ones are copied anew each time. */
const MOST_BYTES = 256;
/** Powers of two. */
const URLS = 8;
const HEADS = 16;

interface Piece {
  readonly bytes: Buffer;
  /** Of the encoder's table, when it was written. */
  readonly changes: number;
}

interface UrlPiece extends Piece {
  readonly method: string;
  readonly authority: string;
  readonly basePath: string;
  readonly path: string;
  readonly query: string | null;
}

interface HeadPiece extends Piece {
  readonly head: number;
  readonly drop: DropMask;
}

export class KeptPieces {
  readonly #encoder: HpackEncoder;
  readonly #urls: (UrlPiece | null)[] = new Array<UrlPiece | null>(URLS).fill(null);
  readonly #heads: (HeadPiece | null)[] = new Array<HeadPiece | null>(HEADS).fill(null);
  #from = 0;
  #changes = 0;
  #unrepeatable = 0;

  constructor(encoder: HpackEncoder) {
    this.#encoder = encoder;
  }

  /** False: it is not here, and what is written from now on may be kept. */
  writeUrl(method: string, authority: string, basePath: string, path: string, query: string | null): boolean {
    const piece = this.#urls[path.length & (URLS - 1)]!;
    if (
      piece === null ||
      piece.changes !== this.#encoder.changes ||
      piece.path !== path ||
      piece.query !== query ||
      piece.authority !== authority ||
      piece.method !== method ||
      piece.basePath !== basePath
    )
      return this.#watch();
    this.#encoder.encoded(piece.bytes);
    return true;
  }

  keepUrl(method: string, authority: string, basePath: string, path: string, query: string | null): void {
    const bytes = this.#written();
    if (bytes === null) return;
    const { changes } = this.#encoder;
    this.#urls[path.length & (URLS - 1)] = { bytes, changes, method, authority, basePath, path, query };
  }

  /** `head`: the number of one that is shared. False: as above. */
  writeHead(head: number, drop: DropMask): boolean {
    const piece = this.#heads[head & (HEADS - 1)]!;
    if (piece === null || piece.head !== head || piece.drop !== drop || piece.changes !== this.#encoder.changes)
      return this.#watch();
    this.#encoder.encoded(piece.bytes);
    return true;
  }

  keepHead(head: number, drop: DropMask): void {
    const bytes = this.#written();
    if (bytes !== null) this.#heads[head & (HEADS - 1)] = { bytes, changes: this.#encoder.changes, head, drop };
  }

  #watch(): false {
    const { changes, length, unrepeatable } = this.#encoder;
    this.#from = length;
    this.#changes = changes;
    this.#unrepeatable = unrepeatable;
    return false;
  }

  /** What was written since; null: it is another one the next time. */
  #written(): Buffer | null {
    const { bytes, changes, length, unrepeatable } = this.#encoder;
    if (changes !== this.#changes || unrepeatable !== this.#unrepeatable) return null;
    return length - this.#from > MOST_BYTES ? null : Buffer.from(bytes.subarray(this.#from, length));
  }
}

/** What a head or a log record is written to, piece by piece, so that no text has to be joined first. */
export interface ByteWriter {
  /** Latin-1 text. */
  text(text: string): void;
  /** The bytes `[start, end)`, which may change afterwards. */
  bytes(bytes: Buffer, start: number, end: number): void;
  /** The first `length` bytes of memory that is given by whole words: a few of them at once are cheaper. */
  words(words: Int32Array, length: number): void;
  /** A whole number that is not negative, in decimal. */
  integer(value: number): void;
}

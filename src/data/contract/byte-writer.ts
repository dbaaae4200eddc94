/** What a head or a log record is written to, piece by piece, so that no text has to be joined first. */
export interface ByteWriter {
  /** Latin-1 text. */
  text(text: string): void;
  /** The bytes `[start, end)`, which may change afterwards. */
  bytes(bytes: Buffer, start: number, end: number): void;
  /** A whole number that is not negative, in decimal. */
  integer(value: number): void;
}

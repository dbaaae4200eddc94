/** What field lines and records are written to, piece by piece, so that no text has to be joined first. */
export interface FieldWriter {
  /** Latin-1 text. */
  text(text: string): void;
  /** The bytes `[start, end)`, which may change afterwards. */
  run(bytes: Buffer, start: number, end: number): void;
  /** A whole number that is not negative, in decimal. */
  integer(value: number): void;
}

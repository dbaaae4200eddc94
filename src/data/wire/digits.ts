/** Whole numbers as decimal digits, without making a text of them first. */

/** Above this `|0` would not keep the value. */
export const MOST_DIGITS_VALUE = 0x7fffffff;

export function digitsOf(value: number): number {
  let digits = 1;
  for (let limit = 10; value >= limit; limit *= 10) digits++;
  return digits;
}

/** Writes `value`, at most `MOST_DIGITS_VALUE`, in its `digits` digits to `bytes` from `at` on. */
export function writeDigits(bytes: Uint8Array, at: number, digits: number, value: number): void {
  let rest = value | 0;
  for (let i = at + digits - 1; i >= at; i--) {
    const tenth = (rest / 10) | 0;
    bytes[i] = 0x30 + rest - tenth * 10;
    rest = tenth;
  }
}

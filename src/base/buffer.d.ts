/**
 * `latin1Slice` is what `toString('latin1', a, b)` calls after checking its arguments; Node has had it since
 * version 0.x and the gateway makes most of its strings with it.
 */
interface Buffer {
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
  utf8Write(text: string, offset: number, length?: number): number;
  latin1Write(text: string, offset: number, length?: number): number;
}

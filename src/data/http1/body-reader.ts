/**
 * Where a request body begins and ends in the bytes of a connection, by length or by chunks, and how fast it comes.
 * It finds runs of body bytes; what becomes of them is the connection's business.
 */
import type { Clock } from '../../base/clock.ts';
import { BAD, ChunkedDecoder, DATA, END } from '../parser/chunked.ts';
import { UNKNOWN_LENGTH } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';

const BODY_MORE = 0;
export const BODY_END = 1;
export const BODY_BAD = 2;

export class BodyReader {
  position = 0;
  /** The run found by the last `step`; empty when there was none. */
  dataStart = 0;
  dataEnd = 0;
  received = 0;
  /** Bytes still to come, or -1 when that is not known. */
  remaining = 0;
  problem = '';
  paused = false;
  #decoder: ChunkedDecoder | null = null;
  readonly #clock: Clock;
  #startedMs = 0;
  #pausedSinceMs = 0;
  #pausedMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  start(length: number): void {
    this.received = 0;
    this.paused = false;
    this.#startedMs = this.#clock.monotonicMs();
    this.#pausedMs = 0;
    this.remaining = length === UNKNOWN_LENGTH ? -1 : length;
    if (length === UNKNOWN_LENGTH) {
      this.#decoder ??= new ChunkedDecoder();
      this.#decoder.reset();
    }
  }

  get trailers(): Head | null {
    return this.remaining === -1 ? this.#decoder!.trailers : null;
  }

  step(bytes: Buffer, from: number, end: number): number {
    if (this.remaining >= 0) {
      const take = Math.min(this.remaining, end - from);
      this.remaining -= take;
      return this.#found(from, from + take, from + take, this.remaining === 0 ? BODY_END : BODY_MORE);
    }
    const decoder = this.#decoder!;
    switch (decoder.step(bytes, from, end)) {
      case DATA:
        return this.#found(decoder.dataStart, decoder.dataEnd, decoder.position, BODY_MORE);
      case END:
        return this.#found(0, 0, decoder.position, BODY_END);
      case BAD:
        this.problem = decoder.problem;
        return BODY_BAD;
      default:
        return this.#found(0, 0, decoder.position, BODY_MORE);
    }
  }

  #found(start: number, end: number, position: number, result: number): number {
    this.dataStart = start;
    this.dataEnd = end;
    this.position = position;
    this.received += end - start;
    return result;
  }

  pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.#pausedSinceMs = this.#clock.monotonicMs();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.#pausedMs += this.#clock.monotonicMs() - this.#pausedSinceMs;
  }

  /** Bytes a second; infinite while it is not read, and before `firstMs`. */
  rate(nowMs: number, firstMs: number): number {
    const elapsed = nowMs - this.#startedMs - this.#pausedMs;
    return this.paused || elapsed < firstMs ? Infinity : (this.received * 1_000) / elapsed;
  }

  /** Slower on average than `bytesPerSecond`, time in which we did not read left out, after a grace. */
  isTooSlow(bytesPerSecond: number, graceMs: number): boolean {
    if (this.paused) return false;
    const elapsed = this.#clock.monotonicMs() - this.#startedMs - this.#pausedMs;
    return elapsed > graceMs && (this.received * 1000) / elapsed < bytesPerSecond;
  }
}

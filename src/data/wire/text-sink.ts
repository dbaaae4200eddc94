/** A head kept as text, for when the connection that it goes to is not there yet. */
import type { HeadSink } from './outbox.ts';

export class TextSink implements HeadSink {
  whole = '';

  text(text: string): void {
    this.whole += text;
  }

  run(bytes: Buffer, start: number, end: number): void {
    this.whole += bytes.latin1Slice(start, end);
  }
}

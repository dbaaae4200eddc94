/**
 * An outbox that writes heads as HTTP/1.1 does (RFC 9112 §5): one line a field. One per connection of either side;
 * framing and connection fields are added by its owner (connection.ts, session.ts).
 */
import type { FieldBlock, FieldStart } from '../contract/field-block.ts';
import type { Head } from '../parser/head.ts';
import type { DropMask, HeadWriter } from '../parser/head-writer.ts';
import { constant, Outbox } from '../wire/outbox.ts';
import { writeFieldLines } from './field-lines.ts';

const COLON = constant(': ');
const LINE_END = constant('\r\n');

export class MessageWriter extends Outbox implements HeadWriter {
  field(name: string, value: string): void {
    this.text(name);
    this.bytes(COLON, 0, 2);
    this.text(value);
    this.bytes(LINE_END, 0, 2);
  }

  fields(block: FieldBlock): void {
    this.text(block.lines);
  }

  begin(start: FieldStart): void {
    this.bytes(start.line, 0, start.line.length);
  }

  /** Ends a field or the whole head. */
  end(): void {
    this.bytes(LINE_END, 0, 2);
  }

  copyFields(head: Head, drop: DropMask, nominated: readonly string[] | null, removed: readonly string[] | null): void {
    writeFieldLines(this, head, drop, nominated, removed);
  }
}

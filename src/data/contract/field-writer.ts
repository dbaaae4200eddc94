/**
 * What the fields of a head are written to, whatever version of HTTP it becomes. Who writes has checked names and
 * values (field-block.ts) and never writes framing or connection fields: those belong to the protocol.
 */
import type { ByteWriter } from './byte-writer.ts';
import type { FieldBlock, FieldStart } from './field-block.ts';

/** Between `begin` and `end` the methods of ByteWriter write pieces of the value. */
export interface FieldWriter extends ByteWriter {
  field(name: string, value: string): void;
  /** Fields that were prepared. */
  fields(block: FieldBlock): void;
  /** Begins a field whose value is put together from pieces. */
  begin(start: FieldStart): void;
  end(): void;
}

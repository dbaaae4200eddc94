/** The field lines of a head that pass, as text. */
import type { Head } from '../../src/data/parser/head.ts';
import type { DropMask } from '../../src/data/parser/serialize.ts';
import { writeFieldLines } from '../../src/data/parser/serialize.ts';
import { TextSink } from '../../src/data/wire/text-sink.ts';

export function fieldLines(
  head: Head,
  drop: DropMask,
  nominated: readonly string[] | null,
  removed: readonly string[] | null,
): string {
  const sink = new TextSink();
  writeFieldLines(sink, head, drop, nominated, removed);
  return sink.whole;
}

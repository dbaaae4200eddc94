/**
 * The fields of a parsed head back to lines: copied in whole runs around those that must not pass, so that a message of
 * twenty fields costs two or three copies. Lines with unusual white space are written anew.
 */
import type { ByteWriter } from '../contract/byte-writer.ts';
import { SP } from '../parser/bytes.ts';
import type { Head } from '../parser/head.ts';
import { type DropMask, fieldPasses } from '../parser/head-writer.ts';

/** Each line with its CRLF; the arguments are those of `HeadWriter.copyFields`. */
export function writeFieldLines(
  out: ByteWriter,
  head: Head,
  drop: DropMask,
  nominated: readonly string[] | null,
  removed: readonly string[] | null,
): void {
  const { bytes, marks, ids, count } = head;
  const needsNames = nominated !== null || removed !== null;
  let runStart = -1;
  for (let i = 0; i < count; i++) {
    const mark = i * 4;
    const nameStart = marks[mark]!;
    const passes = needsNames ? fieldPasses(head, i, drop, nominated, removed) : drop[ids[i]!] === 0;
    const lineEnd = i + 1 < count ? marks[mark + 4]! : head.end - 2;
    const nameEnd = marks[mark + 1]!;
    // The byte is looked at because a value may begin behind zeros that are not passed on (framing.ts).
    const regular = marks[mark + 2]! - nameEnd === 2 && bytes[nameEnd + 1] === SP && lineEnd - marks[mark + 3]! === 2;
    if (passes && regular) {
      if (runStart < 0) runStart = nameStart;
      continue;
    }
    if (runStart >= 0) {
      out.bytes(bytes, runStart, nameStart);
      runStart = -1;
    }
    if (passes) {
      out.bytes(bytes, nameStart, nameEnd);
      out.text(': ');
      out.bytes(bytes, marks[mark + 2]!, marks[mark + 3]!);
      out.text('\r\n');
    }
  }
  if (runStart >= 0) out.bytes(bytes, runStart, head.end - 2);
}

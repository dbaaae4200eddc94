/**
 * What a service may do against the grammar of HTTP/1.1 where its configuration says so (`lenient`): a head that was
 * refused is written anew in the one form that has one reading, and read as strictly as any other. Nothing of this is
 * looked at while services keep to the grammar. Blanks behind chunk sizes are the decoder's business (chunked.ts).
 * Sources: RFC 9112 §2.2 (line feeds), §5.1 (blanks before the colon), §5.2 (folding), §6.3 (a length beside a coding);
 * RFC 9110 §15 (statuses).
 */
import type { LenientForm } from '../contract/snapshot.ts';

const MOST_STATUS = 599;
const MOST_LENIENT_STATUS = 999;
const BLANK_BEFORE_COLON = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]+:/;

export function mostStatus(forms: readonly LenientForm[]): number {
  return forms.includes('anyStatus') ? MOST_LENIENT_STATUS : MOST_STATUS;
}

const BARE_LINE_FEED = /(?:^|[^\r])\n/;
const NOTHING = Buffer.alloc(0);

/** A head in its strict form, and where its own form ended. */
export interface MendedHead {
  readonly head: Buffer;
  readonly end: number;
}

/** The head that starts at `start`, as far as `forms` allow what is wrong with it; null while its end is not here. */
export function mendHead(bytes: Buffer, start: number, end: number, forms: readonly LenientForm[]): MendedHead | null {
  const text = bytes.latin1Slice(start, end);
  const allows = (form: LenientForm): boolean => forms.includes(form);
  const last = (allows('lineFeeds') ? /\r?\n\r?\n/ : /\r\n\r\n/).exec(text);
  // Without this a head whose end can never come would be waited for.
  if (!allows('lineFeeds') && BARE_LINE_FEED.test(last === null ? text : text.slice(0, last.index)))
    return { head: NOTHING, end: start };
  if (last === null) return null;
  const lines = text.slice(0, last.index).split(allows('lineFeeds') ? /\r?\n/ : '\r\n');
  const kept = [lines[0]!];
  for (const line of lines.slice(1)) {
    if (allows('folding') && kept.length > 1 && /^[ \t]/.test(line)) kept.push(`${kept.pop()!} ${line.trim()}`);
    else kept.push(allows('blankBeforeColon') ? line.replace(BLANK_BEFORE_COLON, '$1:') : line);
  }
  const mended = allows('lengthBesideChunked') ? withoutLength(kept) : kept;
  const head = Buffer.from(`${mended.join('\r\n')}\r\n\r\n`, 'latin1');
  return { head, end: start + last.index + last[0].length };
}

/** Chunks are the rule that counts; the connection ends, for the service may have meant the length. */
function withoutLength(lines: readonly string[]): readonly string[] {
  const isChunked = lines.some((line) => /^transfer-encoding:[ \t]*chunked[ \t]*$/i.test(line));
  if (!isChunked) return lines;
  const kept = lines.filter((line) => !/^content-length:/i.test(line));
  return kept.length === lines.length ? lines : [...kept, 'Connection: close'];
}

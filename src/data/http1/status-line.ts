/** The first line of a response that is made here (RFC 9112 §4). */
import { REASON_PHRASES } from '../../base/reason-phrases.ts';

const LINES: string[] = [];

/** `HTTP/1.1 200 OK` and CRLF. */
export function statusLine(status: number): string {
  const known = LINES[status];
  if (known !== undefined) return known;
  const line = `HTTP/1.1 ${status} ${REASON_PHRASES[status] ?? ''}\r\n`;
  LINES[status] = line;
  return line;
}

/** The first line of a response that is made here (RFC 9112 §4). */
import { STATUS_CODES } from 'node:http';

/** Names that RFC 9110 has changed since Node took them. */
const RENAMED: Readonly<Record<number, string>> = { 413: 'Content Too Large', 422: 'Unprocessable Content' };

const LINES: string[] = [];

/** `HTTP/1.1 200 OK` and CRLF. */
export function statusLine(status: number): string {
  const known = LINES[status];
  if (known !== undefined) return known;
  const line = `HTTP/1.1 ${status} ${RENAMED[status] ?? STATUS_CODES[status] ?? ''}\r\n`;
  LINES[status] = line;
  return line;
}

/** Text and the memory that it takes. */
import { Buffer } from 'node:buffer';

/**
 * The same Latin-1 text in one piece: joined ones keep all their parts, a kilobyte a connection, and cost five times as
 * much to write.
 */
export function flat(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

/** Text that needs no escape in JSON. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/** A JSON string in ASCII. */
export function jsonText(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  return asciiJson(text);
}

/** JSON in printable ASCII: what is not is escaped. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

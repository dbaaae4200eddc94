/**
 * The `id:` of a server-sent event: the stream and the position, as an opaque text. Not signed, on purpose: a
 * subscriber may ask for any position of the stream that it may read, so forging one gains nothing; what it is given is
 * decided by the route's pattern each time. One of another stream is no position here.
 */
import { hash } from 'node:crypto';
import { isPosition } from '../engines/engine.ts';

/** Tells streams apart, also those of one name on another engine. */
export function streamTag(engine: string, stream: string): string {
  return hash('sha256', `${engine}\n${stream}`, 'base64url').slice(0, 8);
}

export function writeCursor(tag: string, position: string): string {
  return `${tag}.${position}`;
}

/** Null for what is no cursor of this stream. */
export function readCursor(tag: string, text: string): string | null {
  const [found, position = '', ...more] = text.split('.');
  return found === tag && isPosition(position) && more.length === 0 ? position : null;
}

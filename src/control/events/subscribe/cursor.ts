/**
 * The `id:` of a server-sent event: the stream and the position, as an opaque text. Not signed, on purpose: a
 * subscriber may ask for any position of the stream that it may read, so forging one gains nothing; what it is given is
 * decided by the route's pattern each time. One of another stream is no position here.
 */
import { hash } from 'node:crypto';
import { isPosition, type StoredEvent } from '../engines/engine.ts';
import { isPrint, printOf } from '../engines/event-print.ts';

/** Tells streams apart, also those of one name on another engine. */
export function streamTag(engine: string, stream: string): string {
  return hash('sha256', `${engine}\n${stream}`, 'base64url').slice(0, 8);
}

export function writeCursor(tag: string, position: string, print: string | null = null): string {
  return print === null ? `${tag}.${position}` : `${tag}.${position}.${print}`;
}

/** The cursor at an event, which also says which event that was. */
export function cursorOf(tag: string, event: StoredEvent): string {
  return writeCursor(tag, event.position, printOf(event));
}

export interface Cursor {
  readonly position: string;
  /** Of the event at the position; null: the cursor says nothing of it. */
  readonly print: string | null;
}

/** Null for what is no cursor of this stream. */
export function readCursor(tag: string, text: string): Cursor | null {
  const [found, position = '', print, ...more] = text.split('.');
  if (found !== tag || !isPosition(position) || more.length > 0) return null;
  if (print !== undefined && !isPrint(print)) return null;
  return { position, print: print ?? null };
}

/**
 * What tells an event from another that has its position in a stream that was begun anew, or was restored from an older
 * copy and written on: a short text of its id and time. Not secret and not signed: see cursor.ts.
 */
import type { NewEvent } from './engine.ts';

/** FNV-1a of 32 bits. */
const BASIS = 0x811c9dc5;
const PRIME = 0x01000193;

export function printOf({ id, attributes }: Pick<NewEvent, 'id' | 'attributes'>): string {
  return (added(added(BASIS, id), attributes['time'] ?? '') >>> 0).toString(36);
}

function added(before: number, text: string): number {
  let sum = before;
  for (let i = 0; i < text.length; i++) sum = Math.imul(sum ^ text.charCodeAt(i), PRIME);
  return sum;
}

export function isPrint(text: string): boolean {
  return /^[0-9a-z]{1,7}$/.test(text);
}

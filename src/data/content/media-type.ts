/**
 * Content types as they are compared: without parameters, lower case, by patterns such as `text/*` or
 * `application/*+json`.
 */

/** Of a Content-Type field; empty for none or one that is not readable (RFC 9110 §8.3.1). */
export function mediaTypeOf(field: string | null): string {
  if (field === null) return '';
  const end = field.indexOf(';');
  const type = (end < 0 ? field : field.slice(0, end)).trim().toLowerCase();
  return /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/.test(type) ? type : '';
}

export function matchesType(pattern: string, type: string): boolean {
  if (pattern === type || pattern === '*/*') return type !== '';
  const star = pattern.indexOf('*');
  if (star < 0) return false;
  const before = pattern.slice(0, star);
  const after = pattern.slice(star + 1);
  return type.length > before.length + after.length && type.startsWith(before) && type.endsWith(after);
}

/** One JSON value a line. */
export const LINE_TYPES: readonly string[] = [
  'application/x-ndjson',
  'application/ndjson',
  'application/jsonl',
  'application/x-jsonlines',
];
export const EVENTS = 'text/event-stream';

export function isJsonType(type: string): boolean {
  return type === 'application/json' || /^[^/]+\/[^/]+\+json$/.test(type);
}

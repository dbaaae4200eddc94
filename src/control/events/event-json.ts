/**
 * An event as CloudEvents 1.0 JSON (the structured form): what subscribers, consumers and the hub are sent. JSON data
 * is put in as it was published, other text as a string, the rest as base64 (CloudEvents JSON format §3.1).
 */
import { isUtf8 } from 'node:buffer';
import type { NewEvent } from './engines/engine.ts';

/** How data of a content type are written: as JSON, as text, or as base64. */
type Kind = 'json' | 'text' | 'bytes';

/** Of the types that were seen last: publishers use few. */
const KINDS = new Map<string, Kind>();
const MOST_KINDS = 64;

function kindOf(contentType: string): Kind {
  let kind = KINDS.get(contentType);
  if (kind !== undefined) return kind;
  kind = /^[^;]*[/+]json\s*(;|$)/i.test(contentType) ? 'json' : /^text\//i.test(contentType) ? 'text' : 'bytes';
  if (KINDS.size >= MOST_KINDS) KINDS.clear();
  KINDS.set(contentType, kind);
  return kind;
}

export function isJsonType(contentType: string): boolean {
  return kindOf(contentType) === 'json';
}

function isTextType(contentType: string): boolean {
  return kindOf(contentType) !== 'bytes';
}

export function eventJson(event: NewEvent): string {
  const { contentType, data } = event;
  const text = eventHead(event);
  return data.byteLength === 0 ? text : `${text.slice(0, -1)},${dataMember(contentType, data)}}`;
}

/** All of it but its data. */
function eventHead({ id, subject, contentType, attributes, data }: NewEvent): string {
  const head: Record<string, string> = { specversion: '1.0', id, subject, ...attributes };
  if (data.byteLength > 0) head['datacontenttype'] = contentType;
  return JSON.stringify(head);
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * `before`, the event as JSON (`cloudevent`) or its data alone, each line of it behind `data: `, and an empty line: a
 * server-sent event. Data that stand in it as they were published, as nearly all do, are copied and not read as text.
 */
export function eventLines(before: string, event: NewEvent, format: 'cloudevent' | 'data'): Buffer {
  const { contentType, data } = event;
  const kind = data.byteLength === 0 ? 'bytes' : kindOf(contentType);
  const isAsItIs =
    (kind === 'json' || (kind === 'text' && format === 'data')) &&
    data.indexOf(LINE_FEED) < 0 &&
    data.indexOf(CARRIAGE_RETURN) < 0 &&
    isUtf8(data);
  if (!isAsItIs) {
    const text = format === 'cloudevent' ? eventJson(event) : dataText(event);
    return Buffer.from(`${before}data: ${text.replace(/\r\n|\r|\n/g, '\ndata: ')}\n\n`);
  }
  const isWhole = format === 'cloudevent';
  const head = isWhole ? `${before}data: ${eventHead(event).slice(0, -1)},"data":` : `${before}data: `;
  const from = Buffer.byteLength(head);
  const to = from + data.byteLength;
  const frame = Buffer.allocUnsafe(to + (isWhole ? 3 : 2));
  frame.write(head);
  frame.set(data, from);
  frame.write(isWhole ? '}\n\n' : '\n\n', to, 'latin1');
  return frame;
}

function dataMember(contentType: string, data: Uint8Array): string {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (isTextType(contentType) && isUtf8(data)) {
    const text = bytes.toString('utf8');
    return `"data":${isJsonType(contentType) ? text : JSON.stringify(text)}`;
  }
  return `"data_base64":"${bytes.toString('base64')}"`;
}

/** The data alone, as text: what was published, or base64 of what is no text. */
export function dataText({ contentType, data }: NewEvent): string {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return isTextType(contentType) && isUtf8(data) ? bytes.toString('utf8') : bytes.toString('base64');
}

/** Whether objects and arrays of a JSON text lie in each other deeper than so. */
export function isNestedDeeper(text: string, most: number): boolean {
  let depth = 0;
  let isText = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (isText) {
      if (code === BACKSLASH) i++;
      else if (code === QUOTE) isText = false;
    } else if (code === QUOTE) isText = true;
    else if (code === BRACE || code === BRACKET) {
      if (++depth > most) return true;
    } else if (code === BRACE_END || code === BRACKET_END) depth--;
  }
  return false;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BRACE = 0x7b;
const BRACE_END = 0x7d;
const BRACKET = 0x5b;
const BRACKET_END = 0x5d;

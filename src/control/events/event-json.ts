/**
 * An event as CloudEvents 1.0 JSON (the structured form): what subscribers, consumers and the hub are sent. JSON data
 * is put in as it was published, other text as a string, the rest as base64 (CloudEvents JSON format §3.1).
 */
import { isUtf8 } from 'node:buffer';
import type { NewEvent } from './engines/engine.ts';

export function isJsonType(contentType: string): boolean {
  return /^[^;]*[/+]json\s*(;|$)/i.test(contentType);
}

function isTextType(contentType: string): boolean {
  return /^text\//i.test(contentType) || isJsonType(contentType);
}

export function eventJson(event: NewEvent): string {
  const { id, subject, contentType, attributes, data } = event;
  const head: Record<string, string> = { specversion: '1.0', id, subject, ...attributes };
  if (data.byteLength > 0) head['datacontenttype'] = contentType;
  const text = JSON.stringify(head);
  if (data.byteLength === 0) return text;
  return `${text.slice(0, -1)},${dataMember(contentType, data)}}`;
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

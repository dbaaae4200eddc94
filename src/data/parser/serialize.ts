/**
 * Heads back to bytes: the fields that were understood are copied in whole runs of lines around those that must not
 * pass, so that a message of twenty fields costs two or three copies. Lines with unusual white space are
 * written anew. Pure; which fields pass is the caller's choice by a mask of field ids.
 */
import type { FieldWriter } from '../contract/field-writer.ts';
import { SP } from './bytes.ts';
import { nameIs, OTHER } from './field-names.ts';
import { isProtectedFromNomination } from './framing.ts';
import type { Head } from './head.ts';

/** 1 for each field id that must not pass. */
export type DropMask = Uint8Array;

export function dropMask(ids: readonly number[], rule?: (id: number) => boolean): DropMask {
  return Uint8Array.from({ length: 64 }, (_, id) => (ids.includes(id) || rule?.(id) === true ? 1 : 0));
}

/**
 * Writes the field lines of `head` that pass, each with its CRLF. `nominated` are names that `Connection` takes off,
 * `removed` those that policies do; both lower case.
 */
export function writeFieldLines(
  out: FieldWriter,
  head: Head,
  drop: DropMask,
  nominated: readonly string[] | null,
  removed: readonly string[] | null,
): void {
  const { bytes, marks, ids, count } = head;
  let runStart = -1;
  for (let i = 0; i < count; i++) {
    const mark = i * 4;
    const nameStart = marks[mark]!;
    const id = ids[i]!;
    let passes = drop[id] === 0;
    if (passes && nominated !== null && !isProtectedFromNomination(id))
      passes = !named(bytes, nameStart, marks[mark + 1]!, nominated);
    if (passes && removed !== null) passes = !named(bytes, nameStart, marks[mark + 1]!, removed);
    const lineEnd = i + 1 < count ? marks[mark + 4]! : head.end - 2;
    const nameEnd = marks[mark + 1]!;
    // The byte is looked at because a value may begin behind zeros that are not passed on (framing.ts).
    const regular = marks[mark + 2]! - nameEnd === 2 && bytes[nameEnd + 1] === SP && lineEnd - marks[mark + 3]! === 2;
    if (passes && regular) {
      if (runStart < 0) runStart = nameStart;
      continue;
    }
    if (runStart >= 0) {
      out.run(bytes, runStart, nameStart);
      runStart = -1;
    }
    if (passes) {
      out.run(bytes, nameStart, nameEnd);
      out.text(': ');
      out.run(bytes, marks[mark + 2]!, marks[mark + 3]!);
      out.text('\r\n');
    }
  }
  if (runStart >= 0) out.run(bytes, runStart, head.end - 2);
}

function named(bytes: Buffer, start: number, end: number, names: readonly string[]): boolean {
  for (let i = 0; i < names.length; i++) if (nameIs(bytes, start, end, names[i]!)) return true;
  return false;
}

/** May this text stand in a field value? Guards what configuration and policies add (RFC 9110 §5.5). */
export function isFieldValue(text: string): boolean {
  return !/[^\t\x20-\x7e\x80-\xff]/.test(text);
}

/** Is this a field name (a token, RFC 9110 §5.1)? */
export function isFieldName(text: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text);
}

/** Trailer fields must not change framing, routing or authentication (RFC 9110 §6.5.1). */
const NO_TRAILER =
  /^(content-length|transfer-encoding|host|trailer|te|connection|keep-alive|upgrade|authorization|set-cookie|cookie|expect|range|content-encoding|content-type|content-range|cache-control|age|date|expires|location|retry-after|vary|warning|www-authenticate|proxy-.*|x-forwarded-.*|forwarded|x-auth-.*|max-forwards|if-.*|via)$/i;

/**
 * The trailer lines that may pass, each with its CRLF. No name that the engine itself understands is among them, nor
 * one that only the gateway may say: services that merge trailers into the fields would take it for the gateway's word.
 */
export function trailerLines(trailers: Head | null): string {
  if (trailers === null) return '';
  let text = '';
  for (let i = 0; i < trailers.count; i++) {
    const name = trailers.name(i);
    if (trailers.ids[i] === OTHER && !NO_TRAILER.test(name)) text += `${name}: ${trailers.value(i)}\r\n`;
  }
  return text;
}

const REASONS: Readonly<Record<number, string>> = {
  100: 'Continue',
  101: 'Switching Protocols',
  103: 'Early Hints',
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No Content',
  206: 'Partial Content',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  417: 'Expectation Failed',
  422: 'Unprocessable Content',
  426: 'Upgrade Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

/** `HTTP/1.1 200 OK` and CRLF, for answers made here. */
export function statusLine(status: number): string {
  return `HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\n`;
}

/**
 * A second reader of HTTP/1.1, written from RFC 9112 alone and sharing no line with src/data/parser: whole text in,
 * list of messages out, regular expressions instead of tables, no limits, no speed. What the gateway understood and
 * what this one reads must agree; where it cannot tell, it says so instead of guessing.
 */

export interface ReadMessage {
  /** Requests: `METHOD target`; answers: the status as digits. */
  readonly method: string;
  readonly target: string;
  readonly status: number;
  readonly minor: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Latin-1. */
  readonly body: string;
  readonly trailers: readonly (readonly [name: string, value: string])[];
  /** Offset behind its last byte. */
  readonly end: number;
}

export interface Reading {
  readonly messages: readonly ReadMessage[];
  /**
   * `done`: nothing is left. `closed`: what follows is not looked at. `incomplete`: more must come. Else the problem.
   */
  readonly rest: 'done' | 'closed' | 'incomplete' | { readonly problem: string };
}

class Unreadable extends Error {}
class Incomplete extends Error {}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const CHUNK =
  /^([0-9A-Fa-f]+)((?:[ \t]*;[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*=[ \t]*(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"))?[ \t]*)*)$/;

/**
 * Reads requests one behind the other, until nothing is left, one is broken, or one asks to close. `heads only` takes
 * the text for heads without the bodies that they announce.
 */
export function readRequests(text: string, bodies: 'with bodies' | 'heads only' = 'with bodies'): Reading {
  return readAll(text, (from) => {
    // RFC 9112 §2.2: one empty line before a request line is ignored.
    const start = text.startsWith('\r\n', from) ? from + 2 : from;
    const head = readHead(text, start);
    const line = /^([^ ]+) ([^ ]+) HTTP\/1\.([01])$/.exec(head.startLine);
    if (line === null || !TOKEN.test(line[1]!) || !/^[\x21-\x7e\x80-\xff]+$/.test(line[2]!))
      throw new Unreadable('request line');
    const minor = Number(line[3]);
    const hosts = valuesOf(head.fields, 'host');
    if (hosts.length > 1 || (minor === 1 && hosts.length === 0)) throw new Unreadable('Host');
    const length = bodyLength(head.fields, minor) ?? 0;
    const body = readBody(text, head.end, bodies === 'heads only' ? 0 : length);
    const message = { ...body, method: line[1]!, target: line[2]!, status: 0, minor, fields: head.fields };
    return { message, closes: closes(head.fields, minor) };
  });
}

/** Reads answers; `methods` are those of the requests they belong to, `ended` says that no byte will follow. */
export function readAnswers(text: string, methods: readonly string[], ended: boolean): Reading {
  let nth = 0;
  return readAll(text, (from) => {
    const head = readHead(text, from);
    const line = /^HTTP\/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?$/.exec(head.startLine);
    if (line === null) throw new Unreadable('status line');
    const minor = Number(line[1]);
    const status = Number(line[2]);
    const declared = bodyLength(head.fields, minor, true);
    const isInterim = status < 200;
    // RFC 9110 §15.2: there are none in HTTP/1.0.
    if (isInterim && minor === 0) throw new Unreadable('interim answer');
    const method = methods[nth] ?? 'GET';
    if (!isInterim) nth++;
    const isBodiless = isInterim || status === 204 || status === 304 || method === 'HEAD';
    if (!isBodiless && declared === null) {
      if (!ended) throw new Incomplete();
      const body = { body: text.slice(head.end), trailers: [], end: text.length };
      return { message: { ...body, method, target: '', status, minor, fields: head.fields }, closes: true };
    }
    const body = readBody(text, head.end, isBodiless ? 0 : declared!);
    const message = { ...body, method, target: '', status, minor, fields: head.fields };
    return { message, closes: !isInterim && closes(head.fields, minor) };
  });
}

export function valuesOf(fields: ReadMessage['fields'], lowerName: string): string[] {
  return fields.filter(([name]) => name.toLowerCase() === lowerName).map(([, value]) => value);
}

function readAll(text: string, next: (from: number) => { message: ReadMessage; closes: boolean }): Reading {
  const messages: ReadMessage[] = [];
  try {
    for (let at = 0; at < text.length; ) {
      const { message, closes: last } = next(at);
      messages.push(message);
      at = message.end;
      if (last) return { messages, rest: 'closed' };
    }
    return { messages, rest: 'done' };
  } catch (error) {
    if (error instanceof Incomplete) return { messages, rest: 'incomplete' };
    if (error instanceof Unreadable) return { messages, rest: { problem: error.message } };
    throw error;
  }
}

function readHead(text: string, start: number): { startLine: string; fields: [string, string][]; end: number } {
  const [startLine, ...lines] = linesUntilEmpty(text, start);
  const fields = lines.map(readField);
  const end = start + [startLine ?? '', ...lines].reduce((sum, line) => sum + line.length + 2, 2);
  if (startLine === undefined) throw new Unreadable('empty start line');
  return { startLine, fields, end };
}

/** Lines without their CRLF, up to the empty one. */
function linesUntilEmpty(text: string, start: number): string[] {
  const lines: string[] = [];
  for (let at = start; ; ) {
    const end = at + text.slice(at).search(/[\r\n]/);
    if (end < at) throw new Incomplete();
    if (text[end] === '\n') throw new Unreadable('a bare LF');
    if (end + 1 === text.length) throw new Incomplete();
    if (text[end + 1] !== '\n') throw new Unreadable('a bare CR');
    if (end === at) return lines;
    lines.push(text.slice(at, end));
    at = end + 2;
  }
}

function readField(line: string): [string, string] {
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(0, colon));
  const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '');
  if (!TOKEN.test(name)) throw new Unreadable('field name');
  if (!VALUE.test(value)) throw new Unreadable('field value');
  return [name, value];
}

/** RFC 9112 §6.3; -1 for chunks, null when the head does not say. */
function bodyLength(fields: ReadMessage['fields'], minor: number, isResponse = false): number | null {
  const lengths = valuesOf(fields, 'content-length');
  const codings = valuesOf(fields, 'transfer-encoding');
  if (codings.length > 0) {
    if (lengths.length > 0 || codings.length > 1 || minor === 0) throw new Unreadable('framing');
    if (codings[0]!.toLowerCase() !== 'chunked') throw new Unreadable('coding');
    return -1;
  }
  if (lengths.length === 0) return null;
  if (lengths.some((length) => !/^[0-9]+$/.test(length))) throw new Unreadable('length');
  // RFC 9112 §6.3 rule 5: equal copies may be one; of a service they are, of a client not.
  const isOne =
    lengths.length === 1 || (isResponse && lengths.every((length) => Number(length) === Number(lengths[0])));
  if (!isOne) throw new Unreadable('length');
  return Number(lengths[0]);
}

function readBody(text: string, start: number, length: number): Pick<ReadMessage, 'body' | 'trailers' | 'end'> {
  if (length < 0) return readChunks(text, start);
  if (text.length < start + length) throw new Incomplete();
  return { body: text.slice(start, start + length), trailers: [], end: start + length };
}

/** RFC 9112 §7.1, extensions ignored (§7.1.1), trailers kept apart (§7.1.2). */
export function readChunks(text: string, start: number): Pick<ReadMessage, 'body' | 'trailers' | 'end'> {
  let body = '';
  for (let at = start; ; ) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) throw new Incomplete();
    const line = CHUNK.exec(text.slice(at, lineEnd));
    if (line === null) throw new Unreadable('chunk size');
    const size = Number.parseInt(line[1]!, 16);
    at = lineEnd + 2;
    if (size === 0) {
      const lines = linesUntilEmpty(text, at);
      const end = at + lines.reduce((sum, trailer) => sum + trailer.length + 2, 2);
      return { body, trailers: lines.map(readField), end };
    }
    body += text.slice(at, at + size);
    if (text.length < at + size + 2) {
      const tail = text.slice(at + size);
      if (tail !== '' && tail !== '\r') throw new Unreadable('chunk end');
      throw new Incomplete();
    }
    if (!text.startsWith('\r\n', at + size)) throw new Unreadable('chunk end');
    at += size + 2;
  }
}

/** The chunked body alone, for the decoder's own tests. */
export function readChunkedText(
  text: string,
): { body: string; trailers: ReadMessage['trailers']; end: number } | 'incomplete' | 'unreadable' {
  try {
    return readChunks(text, 0);
  } catch (error) {
    if (error instanceof Incomplete) return 'incomplete';
    if (error instanceof Unreadable) return 'unreadable';
    throw error;
  }
}

/** RFC 9112 §9.3. */
function closes(fields: ReadMessage['fields'], minor: number): boolean {
  const options = valuesOf(fields, 'connection')
    .join(',')
    .split(',')
    .map((option) => option.trim().toLowerCase());
  if (options.includes('close')) return true;
  return minor === 0 && !options.includes('keep-alive');
}

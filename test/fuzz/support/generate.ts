/** Sound requests and answers for fast-check, as parts and as the bytes that say them (Latin-1 text). */
import fc from 'fast-check';

export interface Made {
  readonly text: string;
  readonly method: string;
  readonly target: string;
  readonly status: number;
  readonly fields: readonly (readonly [string, string])[];
  readonly body: string;
  readonly trailers: readonly (readonly [string, string])[];
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const TOKEN = [..."!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"];
const VISIBLE = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i));
const OBS_TEXT = ['\x80', '\xa0', '\xe4', '\xff'];
/** Names that mean something to the framing or the connection; the generators choose those on purpose. */
const RESERVED =
  /^(content.length|transfer.encoding|connection|host|te|trailer|upgrade|expect|keep.alive|http2.settings)$/i;

const name = fc
  .array(fc.constantFrom(...TOKEN), { minLength: 1, maxLength: 20 })
  .map((characters) => characters.join(''))
  .filter((text) => !RESERVED.test(text));

/** Without white space at either end, which belongs to the line and not to the value (RFC 9110 §5.5). */
const value = fc
  .array(fc.constantFrom(...VISIBLE, ...OBS_TEXT, ' ', '\t'), { maxLength: 30 })
  .map((characters) => characters.join('').replace(/^[ \t]+|[ \t]+$/g, ''));

const blank = fc.constantFrom('', ' ', '  ', '\t', ' \t ');

interface Line {
  readonly field: readonly [string, string];
  readonly text: string;
}

const line: fc.Arbitrary<Line> = fc
  .tuple(name, blank, value, blank)
  .map(([n, before, v, after]) => ({ field: [n, v] as const, text: `${n}:${before}${v}${after}\r\n` }));

/** What field names may not be in trailers of either reader: Node joins and drops some. */
const trailer = line.filter(({ field: [n] }) => !RESERVED.test(n));

const target = fc
  .array(fc.constantFrom(...'/abcXYZ019-._~%20%7E?=&;:@!$'.match(/%..|./g)!), { maxLength: 24 })
  .map((parts) => `/${parts.join('')}`);

const bytes = fc
  .array(fc.oneof(fc.constantFrom('\r\n', '0\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n', '\0', 'a', '5'), fc.nat(255)), {
    maxLength: 40,
  })
  .map((parts) => parts.map((part) => (typeof part === 'string' ? part : String.fromCharCode(part))).join(''));

interface Body {
  readonly framing: Line | null;
  readonly text: string;
  readonly body: string;
  readonly trailers: Made['trailers'];
}

const noBody: fc.Arbitrary<Body> = fc.constant({ framing: null, text: '', body: '', trailers: [] });

const withLength: fc.Arbitrary<Body> = bytes.map((body) => ({
  framing: { field: ['Content-Length', `${body.length}`], text: `Content-Length: ${body.length}\r\n` },
  text: body,
  body,
  trailers: [],
}));

const chunk = fc.tuple(
  bytes.filter((text) => text.length > 0),
  fc.constantFrom('', ';a', ';a=b', ';a="b"'),
);

const inChunks: fc.Arbitrary<Body> = fc
  .tuple(
    fc.array(chunk, { maxLength: 4 }),
    fc.array(trailer, { maxLength: 2 }),
    fc.constantFrom('chunked', 'Chunked', 'CHUNKED'),
    fc.boolean(),
  )
  .map(([chunks, trailers, coding, upper]) => {
    const size = (n: number): string => (upper ? n.toString(16).toUpperCase() : n.toString(16));
    const text = chunks.map(([data, extension]) => `${size(data.length)}${extension}\r\n${data}\r\n`).join('');
    return {
      framing: { field: ['Transfer-Encoding', coding], text: `Transfer-Encoding: ${coding}\r\n` },
      text: `${text}0\r\n${trailers.map((made) => made.text).join('')}\r\n`,
      body: chunks.map(([data]) => data).join(''),
      trailers: trailers.map((made) => made.field),
    };
  });

/** A whole sound request with HTTP/1.1. */
export const request: fc.Arbitrary<Made> = fc
  .tuple(
    fc.constantFrom(...METHODS),
    target,
    fc.array(line, { maxLength: 6 }),
    fc.oneof(noBody, withLength, inChunks),
    fc.nat(6),
    fc.boolean(),
  )
  .map(([method, path, lines, body, place, emptyLine]) => {
    const all: Line[] = [{ field: ['Host', 'a.example'], text: 'Host: a.example\r\n' }, ...lines];
    if (body.framing !== null) all.splice(Math.min(place, all.length), 0, body.framing);
    const head = `${method} ${path} HTTP/1.1\r\n${all.map(({ text }) => text).join('')}\r\n`;
    return {
      text: `${emptyLine ? '\r\n' : ''}${head}${body.text}`,
      method,
      target: path,
      status: 0,
      fields: all.map(({ field }) => field),
      body: body.body,
      trailers: body.trailers,
    };
  });

/** A whole sound answer to GET, with a length or in chunks. */
export const answer: fc.Arbitrary<Made> = fc
  .tuple(
    fc.constantFrom(200, 201, 299, 301, 404, 418, 500, 599),
    fc.constantFrom(' OK', ' ', '', ' Not \xe4 Word'),
    fc.array(line, { maxLength: 6 }),
    fc.oneof(withLength, inChunks),
    fc.nat(6),
  )
  .map(([status, reason, lines, body, place]) => {
    const all = [...lines];
    all.splice(Math.min(place, all.length), 0, body.framing!);
    return {
      text: `HTTP/1.1 ${status}${reason}\r\n${all.map(({ text }) => text).join('')}\r\n${body.text}`,
      method: '',
      target: '',
      status,
      fields: all.map(({ field }) => field),
      body: body.body,
      trailers: body.trailers,
    };
  });

/** Where to cut bytes of this length; at most `most` cuts. */
export function cuts(most: number): fc.Arbitrary<readonly number[]> {
  return fc.array(fc.nat(999), { maxLength: most });
}

/** The pieces of `text`, cut at these thousandths of its length. */
export function pieces(text: string, thousandths: readonly number[]): Buffer[] {
  const all = Buffer.from(text, 'latin1');
  const offsets = [...new Set(thousandths.map((part) => Math.floor((part * all.length) / 1_000)))].sort(
    (a, b) => a - b,
  );
  const found: Buffer[] = [];
  let from = 0;
  for (const offset of [...offsets, all.length]) {
    if (offset > from) found.push(all.subarray(from, offset));
    from = offset;
  }
  return found;
}

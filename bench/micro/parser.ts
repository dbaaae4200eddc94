/**
 * What it costs to read a message: heads with full validation, what they mean for the connection, the target, and
 * chunked bodies. The bounds of the first rows are those of a byte loop that validates everything, as measured for the
 * prototype; a parser made of string operations takes three to four times as long.
 */
import { ChunkedDecoder, DATA, END } from '../../src/data/parser/chunked.ts';
import { MessageFraming, readRequestFraming, readResponseFraming } from '../../src/data/parser/framing.ts';
import { Head, mayBeComplete, readRequestHead, readResponseHead } from '../../src/data/parser/head.ts';
import { readTarget, Target } from '../../src/data/parser/target.ts';
import { measure } from './measure.ts';
import type { Row } from './row.ts';

function padded(head: string, bytes: number): Buffer {
  const room = bytes - head.length - 'X-Trace: \r\n\r\n'.length;
  if (room < 0) throw new Error(`the head has ${head.length} bytes already`);
  return Buffer.from(`${head}X-Trace: ${'a'.repeat(room)}\r\n\r\n`, 'latin1');
}

/** What a program sends: eight fields, one of them a token. */
export const API_HEAD = padded(
  'GET /api/v1/projects/4711?include=owner HTTP/1.1\r\nHost: api.example.com\r\nAccept: application/json\r\n' +
    'User-Agent: orders-service/2.4\r\nAccept-Encoding: gzip, br\r\nX-Request-ID: 0b6c2f1e-7a1d-4c55-9f0e-3b1f1f9c7a10\r\n' +
    'Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyLTQ3MTEifQ.c2lnbmF0dXJl\r\n',
  406,
);

/** What a browser sends: fourteen fields, a kilobyte. */
export const BROWSER_HEAD = padded(
  'GET /app/dashboard?tab=activity&page=2 HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n' +
    'Cache-Control: max-age=0\r\nsec-ch-ua: "Chromium";v="141", "Not)A;Brand";v="24"\r\nsec-ch-ua-mobile: ?0\r\n' +
    'sec-ch-ua-platform: "Linux"\r\nUpgrade-Insecure-Requests: 1\r\n' +
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36\r\n' +
    'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n' +
    'Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nReferer: https://www.example.com/app\r\n' +
    'Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n' +
    'Cookie: session=8c1f0c6d2b7e4b0f9a3d5e6f70819a2b; theme=dark; seen=1735689600\r\n',
  1_024,
);

/** What a service answers with. */
export const ANSWER_HEAD = Buffer.from(
  'HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 1024\r\n' +
    'Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nETag: W/"400-5f3a"\r\nCache-Control: private, max-age=0\r\n' +
    'Vary: Accept-Encoding\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n',
  'latin1',
);

const LIMITS = { maxHeadBytes: 64 * 1024, maxTargetBytes: 8 * 1024, maxFields: 100 };

type Read = typeof readRequestHead;

function reading(read: Read, bytes: Buffer) {
  const head = new Head(LIMITS.maxFields);
  return (rounds: number): number => {
    let sum = 0;
    for (let round = 0; round < rounds; round++) sum += read(bytes, 0, bytes.length, LIMITS, head);
    if (sum !== rounds * bytes.length) throw new Error(`not read: ${head.detail}`);
    return sum;
  };
}

/** All that a request costs before the exchange begins. */
function understanding(bytes: Buffer) {
  const head = new Head(LIMITS.maxFields);
  const meaning = new MessageFraming();
  const target = new Target();
  return (rounds: number): number => {
    let sum = 0;
    for (let round = 0; round < rounds; round++) {
      readRequestHead(bytes, 0, bytes.length, LIMITS, head);
      if (!readRequestFraming(head, meaning)) throw new Error(head.detail);
      readTarget(head.bytes.latin1Slice(head.targetStart, head.targetEnd), head.method, target);
      sum += target.path.length;
    }
    return sum;
  };
}

function understandingAnswer(bytes: Buffer) {
  const head = new Head(LIMITS.maxFields);
  const meaning = new MessageFraming();
  return (rounds: number): number => {
    let sum = 0;
    for (let round = 0; round < rounds; round++) {
      readResponseHead(bytes, 0, bytes.length, LIMITS, head);
      if (!readResponseFraming(head, 'GET', meaning)) throw new Error(head.detail);
      sum += meaning.bodyLength;
    }
    return sum;
  };
}

/** A head that comes a byte at a time: what keeps a trickle from costing more than one look at each byte. */
function trickling(bytes: Buffer) {
  return (rounds: number): number => {
    let waits = 0;
    for (let round = 0; round < rounds; round++) {
      for (let end = 1; end < bytes.length; end++) if (!mayBeComplete(bytes, 0, end - 1, end)) waits++;
    }
    if (waits !== rounds * (bytes.length - 1)) throw new Error('the head was whole too early');
    return waits;
  };
}

function decoding(chunkBytes: number, bodyBytes: number) {
  const chunk = Buffer.from(`${chunkBytes.toString(16)}\r\n${'x'.repeat(chunkBytes)}\r\n`);
  const count = bodyBytes / chunkBytes;
  const bytes = Buffer.concat([...Array.from({ length: count }, () => chunk), Buffer.from('0\r\n\r\n')]);
  const decoder = new ChunkedDecoder();
  return (rounds: number): number => {
    let sum = 0;
    for (let round = 0; round < rounds; round++) {
      decoder.reset();
      for (let at = 0; ; at = decoder.position) {
        const found = decoder.step(bytes, at, bytes.length);
        if (found === DATA) sum += decoder.dataEnd - decoder.dataStart;
        else if (found === END) break;
        else throw new Error(decoder.problem);
      }
    }
    if (sum !== rounds * bodyBytes) throw new Error('the body was not decoded');
    return sum;
  };
}

export function run(): Row[] {
  return [
    measure('read a request head, 406 B', reading(readRequestHead, API_HEAD), { atMost: 390 }),
    measure('read a request head, 1 KB of a browser', reading(readRequestHead, BROWSER_HEAD), { atMost: 630 }),
    measure('read and understand a request, 406 B', understanding(API_HEAD)),
    measure('read and understand a request, 1 KB', understanding(BROWSER_HEAD)),
    measure(`read an answer head, ${ANSWER_HEAD.length} B`, reading(readResponseHead, ANSWER_HEAD)),
    measure(`read and understand an answer, ${ANSWER_HEAD.length} B`, understandingAnswer(ANSWER_HEAD)),
    measure('wait for a head of 406 B that comes byte by byte', trickling(API_HEAD)),
    measure('decode 64 KB in chunks of 16 KB', decoding(16_384, 65_536)),
    measure('decode 64 KB in chunks of 64 B', decoding(64, 65_536)),
  ];
}

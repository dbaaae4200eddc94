/**
 * What it costs to write a message on: field lines copied in runs around those that must not pass, with and without
 * fields that break the runs, and an answer's body framed and joined for one write.
 */

import { REQUEST_DROP, RESPONSE_DROP } from '../../src/data/exchange/forwarding.ts';
import { writeFieldLines } from '../../src/data/http1/field-lines.ts';
import { ResponseFraming } from '../../src/data/http1/response-framing.ts';
import { statusLine } from '../../src/data/http1/status-line.ts';
import {
  MessageFraming,
  readRequestFraming,
  readResponseFraming,
  UNKNOWN_LENGTH,
} from '../../src/data/parser/framing.ts';
import { Head, readRequestHead, readResponseHead } from '../../src/data/parser/head.ts';
import type { DropMask } from '../../src/data/parser/head-writer.ts';
import { constant, Outbox } from '../../src/data/wire/outbox.ts';
import { measure } from './measure.ts';
import { ANSWER_HEAD, API_HEAD, BROWSER_HEAD } from './parser.ts';
import type { Row } from './row.ts';

const LIMITS = { maxHeadBytes: 64 * 1024, maxTargetBytes: 8 * 1024, maxFields: 100 };

function request(bytes: Buffer): { head: Head; meaning: MessageFraming } {
  const head = new Head(LIMITS.maxFields);
  const meaning = new MessageFraming();
  readRequestHead(bytes, 0, bytes.length, LIMITS, head);
  if (!readRequestFraming(head, meaning)) throw new Error(head.detail);
  return { head, meaning };
}

function answer(bytes: Buffer): { head: Head; meaning: MessageFraming } {
  const head = new Head(LIMITS.maxFields);
  const meaning = new MessageFraming();
  readResponseHead(bytes, 0, bytes.length, LIMITS, head);
  if (!readResponseFraming(head, 'GET', meaning)) throw new Error(head.detail);
  return { head, meaning };
}

function writing({ head, meaning }: ReturnType<typeof request>, drop: DropMask, removed: readonly string[] | null) {
  const outbox = new Outbox(SOCKET as unknown as ConstructorParameters<typeof Outbox>[0], false);
  return (rounds: number): number => {
    let sum = 0;
    for (let round = 0; round < rounds; round++) {
      writeFieldLines(outbox, head, drop, meaning.nominated, removed);
      outbox.flush();
      sum += round;
    }
    return sum;
  };
}

const LINE_END = constant('\r\n');

/** Takes what it is given, as a socket does whose kernel has room. */
const SOCKET = {
  writableLength: 0,
  writableNeedDrain: false,
  taken: 0,
  write(bytes: Uint8Array | string): boolean {
    this.taken += bytes.length;
    return true;
  },
  cork(): void {},
  uncork(): void {},
};

function sending({ head, meaning }: ReturnType<typeof request>, bodyBytes: number, length: number) {
  const frame = new ResponseFraming();
  const outbox = new Outbox(SOCKET as unknown as ConstructorParameters<typeof Outbox>[0], false);
  const body = Buffer.alloc(bodyBytes, 'x');
  return (rounds: number): number => {
    for (let round = 0; round < rounds; round++) {
      frame.reset();
      const framing = frame.choose(length, 'GET', 200, 1);
      outbox.text(statusLine(200));
      writeFieldLines(outbox, head, RESPONSE_DROP, meaning.nominated, null);
      if (framing !== '') outbox.text(framing);
      outbox.bytes(LINE_END, 0, 2);
      frame.body(outbox, body, 0, body.length);
      frame.end(outbox, null);
      outbox.flush();
    }
    return SOCKET.taken % 1e9;
  };
}

export function run(): Row[] {
  const api = request(API_HEAD);
  const browser = request(BROWSER_HEAD);
  const json = answer(ANSWER_HEAD);
  return [
    measure('write the fields of a request, 406 B', writing(api, REQUEST_DROP, null), { atMost: 300 }),
    measure('write the fields of a request, 1 KB of a browser', writing(browser, REQUEST_DROP, null), { atMost: 300 }),
    measure('the same, with two fields taken off', writing(browser, REQUEST_DROP, ['cookie', 'referer'])),
    measure(`write the fields of an answer, ${ANSWER_HEAD.length} B`, writing(json, RESPONSE_DROP, null), {
      atMost: 300,
    }),
    measure('an answer of 1 KB with a length, in one write', sending(json, 1_024, 1_024)),
    measure('an answer of 1 KB in chunks, in one write', sending(json, 1_024, UNKNOWN_LENGTH)),
    measure('an answer of 64 KB with a length, corked', sending(json, 65_536, 65_536)),
  ];
}

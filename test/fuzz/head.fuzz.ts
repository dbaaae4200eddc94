/**
 * Heads, requests and answers: whatever arrives, `readRequestHead` and `readResponseHead` neither throw nor read
 * outside; what they accept, the strict reader reads alike; arriving in pieces changes nothing; and what is written
 * back is read as the same fields.
 */
import assert from 'node:assert/strict';
import { MessageFraming, readRequestFraming, readResponseFraming } from '../../src/data/parser/framing.ts';
import {
  Head,
  INCOMPLETE,
  mayBeComplete,
  REFUSED,
  readRequestHead,
  readResponseHead,
} from '../../src/data/parser/head.ts';
import { dropMask } from '../../src/data/parser/head-writer.ts';
import { fieldLines } from '../support/field-lines.ts';
import { type Reading, readAnswers, readRequests, valuesOf } from './support/strict-reader.ts';
import { corpus, type FuzzTarget } from './support/target.ts';

const LIMITS = { maxHeadBytes: 2_048, maxTargetBytes: 512, maxFields: 32 };
const NOTHING_DROPPED = dropMask([]);

type Read = typeof readRequestHead;

export const head: FuzzTarget = {
  name: 'head',
  seeds: corpus('head'),
  check(input) {
    return input.startsWith('HTTP/') ? checkAnswer(input) : checkRequest(input);
  },
};

function checkRequest(input: string): string {
  const bytes = Buffer.from(input, 'latin1');
  const { result, head: read } = parse(readRequestHead, bytes);
  checkPieces(readRequestHead, bytes, result, read);
  const text = input.slice(0, result > 0 ? result : undefined);
  const strict = readRequests(text, 'heads only');
  if (result === INCOMPLETE) {
    assert.ok(strict.messages.length === 0, 'the strict reader has a whole head where we wait for more');
    return 'incomplete';
  }
  const meaning = new MessageFraming();
  if (result === REFUSED || !readRequestFraming(read, meaning)) {
    assert.ok(isOurChoice(read, strict), `refused although it is sound: ${read.detail}`);
    return `refused: ${read.detail}`;
  }
  const message = headOf(strict);
  assert.equal(read.method, message.method);
  assert.equal(read.bytes.latin1Slice(read.targetStart, read.targetEnd), message.target);
  assert.equal(read.minor, message.minor);
  assert.deepEqual(fieldsOf(read), message.fields.map(understood));
  checkSerialised(readRequestHead, read, input.slice(0, read.fieldsStart));
  return `request ${meaning.bodyLength > 0 ? 'length' : meaning.bodyLength} ${meaning.keepAlive} ${meaning.upgrade >= 0} ${meaning.expectsContinue} ${read.count}`;
}

function checkAnswer(input: string): string {
  const bytes = Buffer.from(input, 'latin1');
  const { result, head: read } = parse(readResponseHead, bytes);
  checkPieces(readResponseHead, bytes, result, read);
  const text = input.slice(0, result > 0 ? result : undefined);
  const strict = readAnswers(text, ['HEAD'], true);
  if (result === INCOMPLETE) {
    assert.ok(strict.messages.length === 0, 'the strict reader has a whole head where we wait for more');
    return 'answer incomplete';
  }
  const meaning = new MessageFraming();
  if (result === REFUSED || !readResponseFraming(read, 'HEAD', meaning)) {
    assert.ok(isOurChoice(read, strict), `refused although it is sound: ${read.detail}`);
    return `answer refused: ${read.detail}`;
  }
  const message = headOf(strict);
  assert.equal(read.status, message.status);
  assert.equal(read.minor, message.minor);
  assert.deepEqual(fieldsOf(read), message.fields.map(understood));
  checkSerialised(readResponseHead, read, input.slice(0, read.fieldsStart));
  return `answer ${meaning.bodyLength > 0 ? 'length' : meaning.bodyLength} ${meaning.keepAlive} ${read.status >> 6} ${read.count}`;
}

function parse(reader: Read, bytes: Buffer, end = bytes.length): { result: number; head: Head } {
  const head = new Head(LIMITS.maxFields);
  return { result: reader(bytes, 0, end, LIMITS, head), head };
}

/** Every prefix of a head that is accepted waits for more; of one that is refused it waits or is refused. */
function checkPieces(reader: Read, bytes: Buffer, result: number, head: Head): void {
  const length = result > 0 ? result : bytes.length;
  if (result > 0) assert.ok(result <= bytes.length, 'the head ends outside its bytes');
  // As the connection does it: looked at again only when a line feed says that it may be whole.
  let known = 0;
  for (let end = 1; end <= length; end++) {
    if (known > 0 && end < LIMITS.maxHeadBytes && !mayBeComplete(bytes, 0, known, end)) continue;
    const piece = parse(reader, bytes, end);
    known = end;
    if (piece.result === INCOMPLETE) continue;
    if (piece.result > 0) {
      assert.equal(piece.result, result, 'a piece is a whole head, the whole is not');
      return;
    }
    assert.equal(result, REFUSED, `a piece of ${end} bytes is refused (${piece.head.detail}), the whole is not`);
    assert.equal(piece.head.problem.status, head.problem.status, `${piece.head.detail} / ${head.detail}`);
    return;
  }
  assert.ok(result <= 0, 'the whole head is never seen when it comes byte by byte');
}

/** What we refuse although RFC 9112 allows it: limits, other versions, long methods, other codings and expectations. */
function isOurChoice(head: Head, strict: Reading): boolean {
  if (strict.rest !== 'done' && strict.rest !== 'closed') return true;
  if (strict.messages.length === 0) return true;
  const { status } = head.problem;
  if (status === 414 || status === 431 || status === 501 || status === 417) return true;
  const { fields, status: answered } = strict.messages[0]!;
  // Fields of requests that have no business in an answer; to object to them is allowed, and nobody sends them.
  if (answered > 0 && valuesOf(fields, 'host').length > 1) return true;
  return valuesOf(fields, 'content-length').some((value) => value.length > 15);
}

function headOf(strict: Reading): Reading['messages'][number] {
  assert.equal(strict.messages.length, 1, `accepted, but the strict reader says ${JSON.stringify(strict.rest)}`);
  return strict.messages[0]!;
}

/** A length is understood, and passed on, without leading zeros. */
function understood([name, value]: readonly [string, string]): [string, string] {
  return [name, name.toLowerCase() === 'content-length' ? value.replace(/^0+(?=\d)/, '') : value];
}

function fieldsOf(head: Head): [string, string][] {
  return Array.from({ length: head.count }, (_, i) => [head.name(i), head.value(i)]);
}

function checkSerialised(reader: Read, read: Head, start: string): void {
  const lines = fieldLines(read, NOTHING_DROPPED, null, null);
  const again = parse(reader, Buffer.from(`${start}${lines}\r\n`, 'latin1'));
  assert.ok(again.result > 0, `what was written back is not read: ${again.head.detail}`);
  assert.deepEqual(fieldsOf(again.head), fieldsOf(read));
  assert.equal(fieldLines(again.head, NOTHING_DROPPED, null, null), lines, 'a second writing differs from the first');
}

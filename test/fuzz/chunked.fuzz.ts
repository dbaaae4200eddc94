/**
 * Chunked bodies: the decoder and the strict reader find the same body, the same trailers and the same end, whichever
 * way the bytes are cut, and the decoder never reports a run outside the bytes it was given.
 */
import assert from 'node:assert/strict';
import { BAD, ChunkedDecoder, DATA, END, NEED_MORE } from '../../src/data/parser/chunked.ts';
import { readChunkedText } from './support/strict-reader.ts';
import { corpus, type FuzzTarget } from './support/target.ts';

interface Decoded {
  readonly kind: 'end' | 'bad' | 'more';
  readonly body: string;
  readonly end: number;
  readonly trailers: readonly (readonly [string, string])[];
  readonly problem: string;
}

export const chunked: FuzzTarget = {
  name: 'chunked',
  seeds: corpus('chunked'),
  check(input) {
    const bytes = Buffer.from(input, 'latin1');
    const whole = decode(bytes, [bytes.length]);
    const single = decode(
      bytes,
      Array.from({ length: bytes.length }, (_, i) => i + 1),
    );
    same(single, whole, 'byte by byte');
    const thirds = [1, 2].map((n) => Math.floor((bytes.length * n) / 3));
    same(decode(bytes, [...thirds, bytes.length]), whole, 'in three pieces');
    const strict = readChunkedText(input);
    if (whole.kind === 'end') {
      assert.ok(typeof strict === 'object', `accepted, but the strict reader says ${JSON.stringify(strict)}`);
      assert.deepEqual([whole.body, whole.end, whole.trailers], [strict.body, strict.end, strict.trailers]);
      return `end ${whole.trailers.length} ${Math.min(whole.body.length, 9)}`;
    }
    if (whole.kind === 'more') {
      assert.ok(typeof strict === 'string', 'the strict reader has a whole body where we wait for more');
      return 'more';
    }
    assert.ok(
      typeof strict === 'string' || isOurChoice(input, whole),
      `refused although it is sound: ${whole.problem}`,
    );
    return `bad: ${whole.problem}`;
  },
};

/** Limits, and sizes with more leading zeros than any sender writes. */
function isOurChoice(input: string, whole: Decoded): boolean {
  if (whole.problem === 'a chunk size is too large') return /[0-9A-Fa-f]{12}/.test(input);
  if (whole.problem === 'a chunk extension is malformed') return input.length > 16 * 1024;
  return whole.problem === 'the trailers are malformed' && (input.length > 8 * 1024 || input.split('\r\n').length > 32);
}

function decode(bytes: Buffer, ends: readonly number[]): Decoded {
  const decoder = new ChunkedDecoder();
  decoder.reset();
  let body = '';
  let from = 0;
  for (const end of ends) {
    while (from < end) {
      const found = decoder.step(bytes.subarray(0, end), from, end);
      if (found === BAD) return { kind: 'bad', body, end: from, trailers: [], problem: decoder.problem };
      assert.ok(decoder.position > from && decoder.position <= end, 'the decoder does not move, or moves outside');
      if (found === DATA) {
        assert.ok(decoder.dataStart >= from && decoder.dataEnd <= decoder.position, 'a run lies outside its bytes');
        assert.ok(decoder.dataEnd > decoder.dataStart, 'an empty run');
        body += bytes.latin1Slice(decoder.dataStart, decoder.dataEnd);
      }
      from = decoder.position;
      if (found === NEED_MORE) assert.equal(from, end);
      if (found === END) {
        const head = decoder.trailers;
        const trailers = Array.from({ length: head?.count ?? 0 }, (_, i) => [head!.name(i), head!.value(i)] as const);
        return { kind: 'end', body, end: from, trailers, problem: '' };
      }
    }
  }
  return { kind: 'more', body, end: from, trailers: [], problem: '' };
}

function same(pieces: Decoded, whole: Decoded, how: string): void {
  // Where a broken body is noticed may differ by what had come; that it is broken may not.
  if (whole.kind === 'bad') assert.equal(pieces.kind, 'bad', how);
  else assert.deepEqual(pieces, whole, how);
}

/**
 * Frames of HTTP/2: the reader finds the same frames, the same body bytes and the same error whichever way the bytes
 * are cut, and never hands on a run outside of what it was given. What each frame means is the connection's business.
 */
import assert from 'node:assert/strict';
import { FrameReader } from '../../src/data/http2/frame-reader.ts';
import { FRAME_BYTES } from '../../src/data/http2/frames.ts';
import { corpus, type FuzzTarget } from './support/target.ts';

export const frames: FuzzTarget = {
  name: 'frames',
  seeds: corpus('frames'),
  check(input) {
    const bytes = Buffer.from(input, 'latin1');
    const whole = read(bytes, [bytes.length]);
    const each = Array.from({ length: bytes.length }, (_, i) => i + 1);
    assert.deepEqual(read(bytes, each), whole, 'byte by byte');
    const thirds = [1, 2].map((n) => Math.floor((bytes.length * n) / 3));
    assert.deepEqual(read(bytes, [...thirds, bytes.length]), whole, 'in three pieces');
    return whole
      .map((event) => event.replace(/ .*/s, ''))
      .join(' ')
      .slice(0, 60);
  },
};

/** What the reader told, with pieces of one DATA frame put together. */
function read(bytes: Buffer, ends: readonly number[]): string[] {
  const told: string[] = [];
  let body = '';
  const reader = new FrameReader(
    {
      onFrame: (type, flags, stream, from, start, end) => {
        assert.ok(start >= 0 && end >= start && end <= from.length && end - start <= FRAME_BYTES, 'a run outside');
        told.push(`frame-${type} ${flags} ${stream} ${from.latin1Slice(start, end)}`);
        return true;
      },
      onDataFrame: (flags, stream, length, padding) => {
        assert.ok(length <= FRAME_BYTES && padding <= length, 'more padding than frame');
        told.push(`data ${flags} ${stream} ${length}`);
        body = '';
        return true;
      },
      onData: (_, from, start, end) => {
        assert.ok(start >= 0 && end > start && end <= from.length, 'an empty run, or one outside');
        body += from.latin1Slice(start, end);
        return true;
      },
      onDataFrameEnd: (flags, stream) => {
        told.push(`end ${flags} ${stream} ${body}`);
        return true;
      },
      onFrameError: (code, problem) => told.push(`error-${code}:${problem.replaceAll(' ', '_')}`),
    },
    bytes[0] === 0x50,
  );
  let from = 0;
  for (const end of ends) {
    // A copy, so that nothing can lean on what stands behind its end.
    const piece = Buffer.from(bytes.subarray(from, end));
    reader.read(piece, 0, piece.length);
    from = end;
  }
  return told;
}

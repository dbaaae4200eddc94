import assert from 'node:assert/strict';
import { it } from 'node:test';
import { FRAME_ROOM, frame, MessageReader } from './message-reader.ts';

const MOST = 1_000;

function framed(text: string): Buffer {
  return frame(Buffer.concat([Buffer.alloc(FRAME_ROOM), Buffer.from(text)]));
}

/** Pushes what lies between the cuts, one after the other; stops at the first problem. */
function read(
  bytes: Buffer,
  cuts: readonly number[],
): { messages: string[]; problem: string | null; isAtEnd: boolean } {
  const messages: string[] = [];
  const reader = new MessageReader(MOST, (message) => void messages.push(message.toString('latin1')));
  const ends = [...cuts, bytes.length];
  let problem: string | null = null;
  for (let i = 0, start = 0; i < ends.length && problem === null; start = ends[i++]!) {
    // A buffer that is used again at once: what is kept must be a copy.
    const piece = Buffer.from(bytes.subarray(start, ends[i]!));
    problem = reader.push(piece, 0, piece.length);
    piece.fill(0xee);
  }
  return { messages, problem, isAtEnd: reader.isAtEnd };
}

const TEXTS = ['', 'a', 'message two', '', 'x'.repeat(300)];
const BYTES = Buffer.concat(TEXTS.map(framed));

it('messages are the same wherever the bytes are cut, once or twice', () => {
  const want = { messages: TEXTS, problem: null, isAtEnd: true };
  assert.deepEqual(read(BYTES, []), want);
  for (let one = 0; one <= BYTES.length; one++) {
    assert.deepEqual(read(BYTES, [one]), want, `cut at ${one}`);
    // Behind 60 bytes all lie inside the last message.
    for (let two = one; two <= Math.min(60, BYTES.length); two++)
      assert.deepEqual(read(BYTES, [one, two]), want, `cut at ${one} and ${two}`);
  }
  assert.deepEqual(
    read(
      BYTES,
      Array.from({ length: BYTES.length }, (_, i) => i),
    ),
    want,
    'byte by byte',
  );
});

it('an end inside a head or a message shows', () => {
  for (let length = 1; length < FRAME_ROOM + 3; length++)
    assert.equal(read(framed('abc').subarray(0, length), []).isAtEnd, false, `${length} bytes`);
});

it('a compressed message and one that is too long are refused wherever the bytes are cut', () => {
  const compressed = framed('abc');
  compressed[0] = 1;
  const long = framed('x'.repeat(MOST + 1));
  for (const [bytes, problem] of [
    [compressed, /compressed, which was not asked for/],
    [long, /has 1001 bytes, 1000 are allowed/],
  ] as const)
    for (let cut = 0; cut <= FRAME_ROOM + 1; cut++) {
      const found = read(Buffer.concat([framed('fine'), bytes]), [FRAME_ROOM + 4 + cut]);
      assert.deepEqual(found.messages, ['fine']);
      assert.match(found.problem ?? '', problem, `cut at ${cut}`);
    }
});

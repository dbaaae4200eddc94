import assert from 'node:assert/strict';
import { it } from 'node:test';
import { writeAttribute } from './attributes.ts';
import { WireReader, WireWriter } from './wire.ts';

function fieldsOf(bytes: Buffer): (readonly [number, Buffer])[] {
  const reader = new WireReader();
  const found: (readonly [number, Buffer])[] = [];
  reader.open(bytes);
  while (reader.at < reader.end) {
    const tag = reader.varint();
    const from = reader.at;
    if ((tag & 7) === 2) found.push([tag >>> 3, reader.blob()]);
    else {
      reader.skip(tag);
      found.push([tag >>> 3, bytes.subarray(from, reader.at)]);
    }
  }
  return found;
}

it('times near each other, before and behind, are each right', () => {
  const out = new WireWriter();
  let wallMs = 1_800_000_000_000.5;
  for (let i = 0; i < 5_000; i++) {
    // Some forth, some back, over the carry between the words each 4.3 s.
    wallMs += ((i * 7_919) % 1_000) / 64 - 7 + (i % 500 === 0 ? 60_000 : 0);
    out.reset();
    out.nanoseconds(wallMs);
    const seconds = Math.floor(wallMs / 1_000);
    const expected = BigInt(seconds) * 1_000_000_000n + BigInt(Math.round((wallMs - seconds * 1_000) * 1e6));
    assert.equal(out.done().readBigUInt64LE(), expected, `${wallMs}`);
  }
});

it('times are right to the nanosecond that a double holds', () => {
  for (const wallMs of [
    0, 1, 999.999_999, 65_535_999.5, 65_536_000, 1_234_567_890_123.456, 1_800_000_000_000.75, 4e12,
  ]) {
    const out = new WireWriter();
    out.nanoseconds(wallMs);
    const seconds = Math.floor(wallMs / 1_000);
    const expected = BigInt(seconds) * 1_000_000_000n + BigInt(Math.round((wallMs - seconds * 1_000) * 1e6));
    assert.equal(out.done().readBigUInt64LE(), expected, `${wallMs}`);
  }
});

it('bytes in hexadecimal, of either case, and words', () => {
  const out = new WireWriter();
  out.hex('00ff10AbcDeF9a');
  out.word(0x80ff0102 | 0);
  assert.equal(out.done().toString('hex'), '0700ff10abcdef9a80ff0102');
});

it('attributes of each kind', () => {
  const kinds = [];
  for (const value of ['é'.repeat(30), '', true, 0, 2 ** 40, 1.5, -1]) {
    const out = new WireWriter();
    writeAttribute(out, 10, 'k', value);
    const [[, pair] = []] = fieldsOf(out.done());
    const [, [, inner] = []] = fieldsOf(pair!);
    kinds.push(fieldsOf(inner!)[0]?.[0]);
  }
  assert.deepEqual(kinds, [1, 1, 2, 3, 3, 4, 4]);
});

it('texts of any length and script, and lengths of three bytes around whatever is in them', () => {
  for (const text of ['', 'a', 'a'.repeat(100), 'a'.repeat(101), 'é'.repeat(64), 'a'.repeat(20_000), '𝒳'.repeat(99)])
    for (const before of [0, 1_020]) {
      const out = new WireWriter(1_024);
      out.raw(Buffer.alloc(before));
      out.varint(18);
      const whole = out.beginLong();
      out.varint(10);
      out.text(text);
      out.endLong(whole);
      const [[number, inner] = []] = fieldsOf(out.done().subarray(before));
      assert.equal(number, 2);
      assert.equal(fieldsOf(inner!)[0]?.[1].toString(), text);
    }
});

it('pieces as they are: of any length, and text only where it is ASCII', () => {
  const out = new WireWriter(16);
  const bytes = Buffer.from(Array.from({ length: 300 }, (_, i) => i & 255));
  out.raw(bytes, 1, 3);
  out.raw(bytes, 10, 200);
  out.raw(bytes);
  assert.equal(out.rawAscii('abé'), false);
  assert.equal(out.rawAscii('abc'), true);
  const expected = Buffer.concat([bytes.subarray(1, 3), bytes.subarray(10, 200), bytes, Buffer.from('abc')]);
  assert.deepEqual(out.done(), expected);
});

it('memory that is handed in is written as it is, and left where it is too small', () => {
  const memory = Buffer.from(new SharedArrayBuffer(64)).fill(7);
  const out = new WireWriter(0);
  out.over(memory, 10);
  out.text('abc');
  out.raw(Buffer.alloc(40, 1));
  assert.equal(out.memory, memory);
  assert.deepEqual([out.length, memory[9], memory[10], memory[53], memory[54]], [54, 7, 3, 1, 7]);
  out.raw(Buffer.alloc(20, 2));
  assert.notEqual(out.memory, memory);
  assert.equal(memory[54], 7);
  assert.deepEqual(out.done().subarray(10, 14), Buffer.from('\u0003abc'));
});

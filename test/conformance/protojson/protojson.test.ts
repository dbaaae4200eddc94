/** ProtoJSON, ours beside that of Python's protobuf: the same values, the same messages, the same refusals. */
import assert from 'node:assert/strict';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { JsonEncoder } from '../../../src/base/protobuf/json-to-wire.ts';
import { TypeSet } from '../../../src/base/protobuf/types.ts';
import { WireFault } from '../../../src/base/protobuf/wire.ts';
import { JsonDecoder } from '../../../src/base/protobuf/wire-to-json.ts';
import { readProtoFiles } from '../../../src/control/grpc/proto-files.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const FILE = join(FOLDER, 'everything.proto');
const model = readProtoFiles([{ name: FILE, text: readFileSync(FILE, 'utf8') }], () => undefined);
const types = new TypeSet(model.schema);
const EVERYTHING = types.message('test.json.Everything');
const encoder = new JsonEncoder(types);
const decoder = new JsonDecoder(types);
const fullDecoder = new JsonDecoder(types, { defaults: true });

const int32 = fc.oneof(fc.integer(), fc.constantFrom(0, 1, -1, 2_147_483_647, -2_147_483_648));
const uint32 = fc.oneof(fc.nat(), fc.constantFrom(0, 4_294_967_295));
const int64 = fc
  .oneof(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.constantFrom(0n, 2n ** 53n + 1n, -(2n ** 63n)))
  .map(String);
const uint64 = fc.oneof(fc.bigInt(0n, 2n ** 64n - 1n), fc.constantFrom(0n, 2n ** 64n - 1n)).map(String);
const double = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
  fc.constantFrom('NaN', 'Infinity', '-Infinity', 1e300, 0.1),
);
const float = fc.oneof(
  fc
    .float({ noNaN: true, noDefaultInfinity: true, min: Math.fround(-1e30), max: Math.fround(1e30) })
    .map((value) => value + 0),
  fc.constant('NaN'),
);
const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const bytes = fc.uint8Array({ maxLength: 20 }).map((value) => Buffer.from(value).toString('base64'));
const colour = fc.constantFrom('NONE', 'RED', 'GREEN', 77);
const time = fc
  .tuple(
    fc.date({ noInvalidDate: true, min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z') }),
    fc.constantFrom('', '.500', '.000001', '.123456789'),
  )
  .map(([date, fraction]) => `${date.toISOString().slice(0, 19)}${fraction}Z`);
const duration = fc
  .tuple(fc.integer({ min: -1_000_000, max: 1_000_000 }), fc.constantFrom('', '.250', '.000000001'))
  .map(([seconds, rest]) => `${seconds}${rest}s`);
const anyJson = fc.jsonValue({ maxDepth: 2, noUnicodeString: false });
const record = (model: Record<string, fc.Arbitrary<unknown>>) => fc.record(model, { requiredKeys: [] });

const { everything } = fc.letrec((tie) => ({
  everything: record({
    aDouble: double,
    aFloat: float,
    anInt32: int32,
    anInt64: int64,
    aUint32: uint32,
    aUint64: uint64,
    aSint32: int32,
    aSint64: int64,
    aFixed32: uint32,
    aFixed64: uint64,
    aSfixed32: int32,
    aSfixed64: int64,
    aBool: fc.boolean(),
    aString: text,
    someBytes: bytes,
    colour,
    inner: fc.oneof({ depthSize: 'small', withCrossShrink: true }, fc.constant({}), tie('everything')),
    numbers: fc.array(int32, { maxLength: 4 }),
    longs: fc.array(int64, { maxLength: 4 }),
    texts: fc.array(text, { maxLength: 3 }),
    list: fc.oneof({ depthSize: 'small' }, fc.constant([]), fc.array(tie('everything'), { maxLength: 2 })),
    colours: fc.array(colour, { maxLength: 3 }),
    counts: fc.dictionary(fc.oneof(text, fc.constant('__proto__')), int64, { maxKeys: 3 }),
    byNumber: fc.oneof(
      { depthSize: 'small' },
      fc.constant({}),
      fc.dictionary(int32.map(String), tie('everything'), { maxKeys: 2 }),
    ),
    byBool: fc.dictionary(fc.constantFrom('true', 'false'), text),
    byLong: fc.dictionary(uint64, colour, { maxKeys: 3 }),
    maybeNumber: int32,
    maybeText: text,
    chosenNumber: int64,
    'another-name': text,
    doubles: fc.array(double, { maxLength: 3 }),
    switches: fc.array(fc.boolean(), { maxLength: 3 }),
    at: time,
    took: duration,
    mask: fc.constantFrom('', 'a', 'aB.cD,e'),
    struct: fc.dictionary(text, anyJson, { maxKeys: 2 }),
    value: anyJson,
    values: fc.array(anyJson, { maxLength: 2 }),
    any: fc.constantFrom(
      { '@type': 'type.googleapis.com/google.protobuf.Duration', value: '1.500s' },
      { '@type': 'type.googleapis.com/test.json.Everything', aString: 'x', anInt64: '5' },
      { '@type': 'type.googleapis.com/google.protobuf.Struct', value: { a: [1, null] } },
    ),
    empty: fc.constant({}),
    wrappedLong: int64,
    wrappedText: text,
    wrappedBool: fc.boolean(),
    wrappedDouble: double,
    wrappedBytes: bytes,
    times: fc.array(time, { maxLength: 2 }),
  }),
}));

/** Several numbers are the same float, and each side may write another one of them. */
function comparable(json: string): unknown {
  return JSON.parse(json, (key, value: unknown) => {
    if (typeof value !== 'number') return value;
    return key === 'aFloat' ? Math.fround(value) + 0 : value + 0;
  });
}

describe('ProtoJSON', () => {
  let python: ChildProcessWithoutNullStreams;
  let lines: Interface;
  const answers: ((line: string) => void)[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'protojson-'));

  before(() => {
    const set = join(folder, 'set.pb');
    execFileSync('protoc', [
      '-I',
      FOLDER,
      '-I',
      '/usr/include',
      '--include_imports',
      `--descriptor_set_out=${set}`,
      FILE,
    ]);
    python = spawn('/usr/bin/python3', [join(FOLDER, 'peer.py'), set, EVERYTHING.name]);
    python.stderr.pipe(process.stderr);
    lines = createInterface({ input: python.stdout });
    lines.on('line', (line) => answers.shift()!(line));
  });

  after(() => {
    python.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  function ask(kind: 'wire' | 'json' | 'full', input: string): Promise<string> {
    return new Promise((resolve) => {
      answers.push(resolve);
      python.stdin.write(`${kind} ${input}\n`);
    });
  }

  test('what ours writes Python reads, and the other way round, to the same JSON', async () => {
    await fc.assert(
      fc.asyncProperty(everything, async (value) => {
        const wire = encoder.encode(EVERYTHING, value);
        assert.ok(wire !== null, JSON.stringify(encoder.problems));
        const theirs = await ask('json', wire.toString('hex'));
        const ours = decoder.decode(EVERYTHING, wire);
        assert.deepEqual(comparable(JSON.stringify(ours)), comparable(theirs));
        const full = JSON.stringify(fullDecoder.decode(EVERYTHING, wire));
        assert.deepEqual(comparable(full), comparable(await ask('full', wire.toString('hex'))));
        const theirWire = await ask('wire', JSON.stringify(value));
        assert.doesNotMatch(theirWire, /^error/);
        const back = decoder.decode(EVERYTHING, Buffer.from(theirWire, 'hex'));
        assert.deepEqual(comparable(JSON.stringify(back)), comparable(theirs));
      }),
      { numRuns: 60 },
    );
  });

  test('what does not fit is refused by both, by ours with its place and what was expected', async () => {
    const cases: [unknown, string, RegExp][] = [
      [{ nothingSuch: 1 }, '/nothingSuch', /no such field/],
      [{ inner: { list: [{}, { an_int32: 'x' }] } }, '/inner/list/1/an_int32', /integer from/],
      [{ anInt32: 2_147_483_648 }, '/anInt32', /integer from/],
      [{ anInt32: 1.5 }, '/anInt32', /integer from/],
      [{ anInt64: 'a' }, '/anInt64', /64 bits/],
      [{ anInt64: '9223372036854775808' }, '/anInt64', /64 bits/],
      [{ aUint64: '-1' }, '/aUint64', /from 0/],
      [{ aUint32: -1 }, '/aUint32', /from 0/],
      [{ aBool: 'true' }, '/aBool', /true or false/],
      [{ aString: 5 }, '/aString', /a string/],
      [{ someBytes: '***' }, '/someBytes', /base64/],
      [{ colour: 'BLUE' }, '/colour', /NONE, RED, GREEN/],
      [{ numbers: 5 }, '/numbers', /a list/],
      [{ numbers: [1, null] }, '/numbers/1', /null/],
      [{ counts: { a: null } }, '/counts/a', /null/],
      [{ byBool: { yes: 'x' } }, '/byBool/yes', /true or false/],
      [{ byNumber: { x: {} } }, '/byNumber/x', /integer/],
      [{ inner: [] }, '/inner', /an object/],
      [{ chosenText: 'a', chosenNumber: '1' }, '/chosenNumber', /one field of choice/],
      [{ anInt32: 1, an_int32: 2 }, '/an_int32', /once/],
      [{ at: '2026-02-30T00:00:00Z' }, '/at', /a time/],
      [{ at: '0000-01-01T00:00:00Z' }, '/at', /a time/],
      [{ took: '1.5' }, '/took', /a duration/],
      [{ any: { '@type': 'type.googleapis.com/no.Such' } }, '/any/@type', /known type/],
      [{ aFloat: 1e39 }, '/aFloat', /a number/],
    ];
    for (const [value, path, expected] of cases) {
      assert.equal(encoder.encode(EVERYTHING, value), null, JSON.stringify(value));
      assert.equal(encoder.problems[0]!.path, path);
      assert.match(encoder.problems[0]!.expected, expected);
      // Python skips what is no base64, takes an empty list for an empty object, and the last of two names for one
      // field.
      if (!['/someBytes', '/inner', '/an_int32'].includes(path))
        assert.match(await ask('wire', JSON.stringify(value)), /^error/, JSON.stringify(value));
    }
  });

  test('all that is wrong is told at once, and the next message is not spoiled by it', () => {
    assert.equal(encoder.encode(EVERYTHING, { a: 1, inner: { b: 2 }, aBool: 3 }), null);
    assert.deepEqual(
      encoder.problems.map(({ path }) => path),
      ['/a', '/inner/b', '/aBool'],
    );
    assert.deepEqual(decoder.decode(EVERYTHING, encoder.encode(EVERYTHING, { aString: 'x' })!), { aString: 'x' });
  });

  test('integers of 64 bits that JSON has as numbers stay exact when they are read as such', () => {
    const wire = encoder.encode(EVERYTHING, {
      anInt64: 9_007_199_254_740_993n,
      aDouble: 9_007_199_254_740_993n,
      value: 2n ** 60n,
    });
    assert.deepEqual(decoder.decode(EVERYTHING, wire!), {
      anInt64: '9007199254740993',
      aDouble: 2 ** 53,
      value: 2 ** 60,
    });
  });

  test('bytes that are no message are a fault, not a crash and not an endless loop', () => {
    const wire = encoder.encode(EVERYTHING, {
      aString: 'hello',
      inner: { numbers: [1, 2, 3] },
      counts: { a: '1' },
      struct: { a: [1] },
    })!;
    for (let length = 0; length < wire.length; length++) {
      try {
        decoder.decode(EVERYTHING, wire.subarray(0, length));
      } catch (error) {
        assert.ok(error instanceof WireFault, String(error));
      }
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
        try {
          decoder.decode(EVERYTHING, Buffer.from(noise));
        } catch (error) {
          assert.ok(error instanceof WireFault, String(error));
        }
      }),
      { numRuns: 3_000 },
    );
  });

  test('nesting is bounded both ways', () => {
    let deep: unknown = {};
    for (let i = 0; i < 200; i++) deep = { inner: deep };
    assert.equal(encoder.encode(EVERYTHING, deep), null);
    assert.match(encoder.problems[0]!.expected, /levels/);
    let wire = Buffer.alloc(0);
    for (let i = 0; i < 150; i++) {
      const length = wire.length < 128 ? [wire.length] : [(wire.length & 127) | 128, wire.length >> 7];
      wire = Buffer.concat([Buffer.from([0x8a, 0x01, ...length]), wire]);
    }
    assert.throws(() => decoder.decode(EVERYTHING, wire), WireFault);
  });
});

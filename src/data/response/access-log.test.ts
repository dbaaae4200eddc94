import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetricsBuffer, MetricsBank } from '../../base/metrics.ts';
import { MetricsReader } from '../../base/metrics-reader.ts';
import { jsonText } from '../../base/text.ts';
import { AccessLog, part } from './access-log.ts';

function setUp() {
  const buffer = createMetricsBuffer({ workers: 1, routes: 2, instances: 2 });
  const blocks: Uint8Array[] = [];
  const log = new AccessLog((lines) => void blocks.push(lines), new MetricsBank(buffer, 0));
  const write = (wallMs: number, rest: string): void => {
    if (!log.begin(wallMs)) return;
    log.text(rest);
    log.end();
  };
  const lines = (): string[] => Buffer.concat(blocks).toString('utf8').split('\n').filter(Boolean);
  return { log, write, blocks, lines, dropped: () => new MetricsReader(buffer).number('access_log_dropped') };
}

test('a line is a JSON object with its time to the millisecond', () => {
  const { log, write, lines } = setUp();
  write(Date.UTC(2026, 0, 2, 3, 4, 5, 6), '"a":1}');
  write(Date.UTC(2026, 0, 2, 3, 4, 5, 78), '"a":2}');
  log.flush();
  assert.deepEqual(
    lines().map((line) => JSON.parse(line)),
    [
      { time: '2026-01-02T03:04:05.006Z', a: 1 },
      { time: '2026-01-02T03:04:05.078Z', a: 2 },
    ],
  );
});

test('any text comes back from its JSON', () => {
  for (const text of ['', 'curl/8', 'a"b\\c', '\u0000\u001f\u007f', 'é ü \xff', 'snow \u2603 \u{1f600}']) {
    assert.equal(JSON.parse(jsonText(text)), text);
    assert.match(jsonText(text), /^[\x20-\x7e]*$/);
  }
});

test('blocks hold whole lines, also one that is longer than a block', () => {
  const { log, write, blocks, lines } = setUp();
  const long = 'x'.repeat(100_000);
  for (let i = 0; i < 500; i++) write(0, `"n":${i},"pad":"${'y'.repeat(300)}"}`);
  write(0, `"long":"${long}"}`);
  log.flush();
  for (const block of blocks) assert.equal(block[block.length - 1], 0x0a);
  assert.equal(lines().length, 501);
  assert.equal((JSON.parse(lines()[500]!) as { long: string }).long, long);
});

test('what is not written in time is dropped and counted, and the log goes on once it is', () => {
  const { log, write, blocks, dropped } = setUp();
  const line = `"pad":"${'y'.repeat(1_000)}"}`;
  for (let i = 0; i < 10_000; i++) write(0, line);
  assert.ok(dropped() > 5_000);
  for (const block of blocks) log.written(block.length, 0);
  const before = dropped();
  write(0, line);
  assert.equal(dropped(), before);
});

test('numbers are written as numbers', () => {
  const { log, lines } = setUp();
  const integers = [0, 1, 9, 10, 99, 100, 12_345, 2_147_483_647, 2_147_483_648, 9_007_199_254_740_991];
  const times = [0, 0.001, 0.0004, 0.0006, 0.01, 0.9996, 1, 12.345, 999.9999, 60_000.5, 3e6];
  log.begin(0);
  log.text('"integers":[');
  for (const [i, value] of integers.entries()) {
    if (i > 0) log.text(',');
    log.integer(value);
  }
  log.text('],"times":[');
  for (const [i, value] of times.entries()) {
    if (i > 0) log.text(',');
    log.milliseconds(value);
  }
  log.text(']}');
  log.end();
  log.flush();
  const read = JSON.parse(lines()[0]!) as { integers: number[]; times: number[] };
  assert.deepEqual(read.integers, integers);
  assert.deepEqual(
    read.times,
    times.map((ms) => Math.round(ms * 1000) / 1000),
  );
});

test('a line that outgrows its block in any of its parts is whole, and so are those before it', () => {
  for (let pad = 64 * 1024 - 1_200; pad < 64 * 1024 + 20; pad += 7) {
    const { log, write, lines } = setUp();
    write(0, '"first":true}');
    log.begin(0);
    log.text(`"pad":"${'z'.repeat(pad)}","n":`);
    log.integer(123_456);
    log.text(',"ms":');
    log.milliseconds(7.25);
    log.part(part('}'));
    log.end();
    write(0, '"last":true}');
    log.flush();
    const [first, middle, last] = lines().map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.equal(first!['first'], true);
    assert.deepEqual([middle!['n'], middle!['ms'], (middle!['pad'] as string).length], [123_456, 7.25, pad]);
    assert.equal(last!['last'], true);
  }
});

test('a block that comes back is written to again, and only then', () => {
  const { log, write, blocks } = setUp();
  const sent: string[] = [];
  for (let n = 0; n < 6; n++) {
    write(0, `"n":${n}}`);
    log.flush();
    const block = blocks.at(-1) as Uint8Array<ArrayBuffer>;
    sent.push(Buffer.from(block).toString('latin1'));
    // The first two stay under way for good.
    if (n >= 2) log.written(block.length, 0, block);
  }
  for (const [n, text] of sent.entries()) assert.equal((JSON.parse(text) as { n: number }).n, n);
  for (const n of [0, 1]) assert.equal(Buffer.from(blocks[n]!).toString('latin1'), sent[n]);
  const memory = new Set(blocks.map(({ buffer }) => buffer));
  assert.ok(memory.size < 6, `${memory.size} blocks for six`);
  assert.equal(new Set(blocks.slice(0, 3).map(({ buffer }) => buffer)).size, 3);
});

test('a busy log is written in fewer, larger blocks, and one at rest asks for no more memory than before', () => {
  const { log, write, blocks } = setUp();
  const line = `"pad":"${'y'.repeat(1_000)}"}`;
  let sent = 0;
  const giveBack = (): void => {
    for (; sent < blocks.length; sent++) log.written(blocks[sent]!.length, 0, blocks[sent] as Uint8Array<ArrayBuffer>);
  };
  for (let i = 0; i < 4_000; i++) {
    write(0, line);
    giveBack();
  }
  const sizes = blocks.map(({ length }) => length);
  assert.ok(sizes[0]! <= 64 * 1024, `${sizes[0]} bytes first`);
  assert.ok(
    sizes.slice(1).every((size) => size > 200 * 1024 && size <= 256 * 1024),
    `${sizes}`,
  );
  assert.ok(new Set(blocks.map(({ buffer }) => buffer)).size <= 3, 'the memory of blocks is used again');

  const quiet = setUp();
  for (let n = 0; n < 3; n++) {
    quiet.write(0, line);
    quiet.log.flush();
  }
  assert.deepEqual(
    quiet.blocks.map(({ buffer }) => buffer.byteLength),
    [64 * 1024, 64 * 1024, 64 * 1024],
  );
});

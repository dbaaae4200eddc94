import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetricsBuffer, MetricsBank, MetricsReader } from '../../base/metrics.ts';
import { AccessLog, jsonText } from './access-log.ts';

function setUp() {
  const buffer = createMetricsBuffer({ workers: 1, routes: 2, instances: 2 });
  const blocks: Uint8Array[] = [];
  const log = new AccessLog((lines) => void blocks.push(lines), new MetricsBank(buffer, 0));
  const lines = (): string[] => Buffer.concat(blocks).toString('utf8').split('\n').filter(Boolean);
  return { log, blocks, lines, dropped: () => new MetricsReader(buffer).number('access_log_dropped') };
}

test('a line is a JSON object with its time to the millisecond', () => {
  const { log, lines } = setUp();
  log.write(Date.UTC(2026, 0, 2, 3, 4, 5, 6), '"a":1}');
  log.write(Date.UTC(2026, 0, 2, 3, 4, 5, 78), '"a":2}');
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
  const { log, blocks, lines } = setUp();
  const long = 'x'.repeat(100_000);
  for (let i = 0; i < 500; i++) log.write(0, `"n":${i},"pad":"${'y'.repeat(300)}"}`);
  log.write(0, `"long":"${long}"}`);
  log.flush();
  for (const block of blocks) assert.equal(block[block.length - 1], 0x0a);
  assert.equal(lines().length, 501);
  assert.equal((JSON.parse(lines()[500]!) as { long: string }).long, long);
});

test('what is not written in time is dropped and counted, and the log goes on once it is', () => {
  const { log, blocks, dropped } = setUp();
  const line = `"pad":"${'y'.repeat(1_000)}"}`;
  for (let i = 0; i < 10_000; i++) log.write(0, line);
  assert.ok(dropped() > 5_000);
  for (const block of blocks) log.written(block.length);
  const before = dropped();
  log.write(0, line);
  assert.equal(dropped(), before);
});

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { FakeClock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { PageAnswer } from '../../data/contract/tracing.ts';
import type { ExportDone } from './exporter.ts';
import { BatchEnvelope, type ExportedSpans } from './span-batch.ts';
import { SpanQueue } from './span-queue.ts';

const SPAN = Buffer.from([0x12, 0x01, 0x2a]);
const AT = 5_000;

/** A collector that takes what the test says. */
class Slow {
  readonly takesShared: boolean;
  readonly got: { readonly batch: ExportedSpans; readonly done: ExportDone }[] = [];

  constructor(takesShared: boolean) {
    this.takesShared = takesShared;
  }

  export(batch: ExportedSpans, done: ExportDone): void {
    this.got.push({ batch, done });
  }

  async shutdown(): Promise<void> {}
}

function opened(takesShared = true) {
  const exporter = new Slow(takesShared);
  const counts = { exported: 0, failed: 0, dropped: 0 };
  const queue = new SpanQueue({
    exporter,
    envelope: new BatchEnvelope({}, { name: 'n', version: 'v' }, 's'),
    max: 8_192,
    log: { warn: () => {} } as unknown as Logger,
    clock: new FakeClock(),
    counts,
    observe: () => {},
  });
  const memory = Buffer.from(new SharedArrayBuffer(20_000));
  /** Answers in the order in which they come. */
  const answers: [nth: number, answer: PageAnswer][] = [];
  let count = 0;
  const take = async (spans: number): Promise<void> => {
    const nth = count++;
    memory.set(SPAN, AT);
    answers.push([nth, await queue.take(memory, AT, SPAN.length, spans)]);
  };
  return { exporter, counts, queue, memory, take, answers };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('a whole page is sent from where it is, and is free when the collector has it', async () => {
  const { exporter, counts, memory, take, answers } = opened();
  void take(2_000);
  await settled();
  assert.equal(exporter.got.length, 1);
  const { batch, done } = exporter.got[0]!;
  assert.equal(batch.message.buffer, memory.buffer);
  assert.deepEqual(answers, []);
  done(null, 0);
  await settled();
  assert.deepEqual(answers, [[0, 'taken']]);
  assert.equal(counts.exported, 2_000);
});

it('pages are copied and free at once: small ones, those of a busy or failing collector, and where none may be shared', async () => {
  const { exporter, counts, take, answers, memory } = opened();
  void take(100);
  await settled();
  assert.deepEqual(answers, [[0, 'taken']]);
  void take(1_900);
  void take(1_900);
  await settled();
  assert.equal(exporter.got.length, 2);
  // Two are on their way: the third waits in memory of its own.
  void take(2_000);
  await settled();
  assert.deepEqual(answers, [
    [0, 'taken'],
    [3, 'taken'],
  ]);
  exporter.got[0]!.done('away', 0);
  await settled();
  assert.deepEqual(answers.at(-1), [1, 'kept']);
  assert.equal(counts.failed, 1_900);
  void take(1_200);
  await settled();
  assert.deepEqual(answers.at(-1), [4, 'taken']);
  assert.notEqual(exporter.got.at(-1)!.batch.message.buffer, memory.buffer);
  const other = opened(false);
  void other.take(2_048);
  await settled();
  assert.deepEqual(other.answers, [[0, 'taken']]);
  assert.notEqual(other.exporter.got[0]!.batch.message.buffer, other.memory.buffer);
});

it('an exporter that throws or calls back twice ends nothing', async () => {
  const { exporter, counts, take, answers } = opened();
  exporter.export = (_, done) => {
    done(null, 7);
    done('twice', 0);
    throw new Error('and thrown');
  };
  void take(2_000);
  await settled();
  assert.deepEqual(answers, [[0, 'taken']]);
  assert.deepEqual(counts, { exported: 1_993, failed: 7, dropped: 0 });
});

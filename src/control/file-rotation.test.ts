import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createLogger } from '../base/log.ts';
import { FileRotation, type RotationPlan } from './file-rotation.ts';

const DAY_MS = 86_400_000;
const DAILY: RotationPlan = { maxBytes: null, everyMs: DAY_MS, keep: 2 };

/** A process that writes to the file; each has a clock that is some days ahead. */
async function scene(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'gh-rotation-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'access.log');
  const clock = { aheadMs: 0 };
  const begin = (plan = DAILY): FileRotation => {
    const rotation = new FileRotation(
      createLogger('info', () => {}),
      'access log',
      () => void writeFile(file, ''),
      () => Date.now() + clock.aheadMs,
    );
    rotation.use(file, plan);
    t.after(() => rotation.stop());
    return rotation;
  };
  return { file, clock, begin, moved: async () => (await readdir(folder)).length - 1 };
}

test('a day is counted from the first line of the file, however often the process begins anew', async (t) => {
  const { file, clock, begin, moved } = await scene(t);
  await writeFile(file, 'one\n');
  const first = begin();
  await first.look();
  assert.equal(await moved(), 0, 'it is new');
  clock.aheadMs = DAY_MS / 2;
  const second = begin();
  await second.look();
  assert.equal(await moved(), 0, 'half a day is no day');
  first.stop();
  second.stop();
  clock.aheadMs = DAY_MS + 1_000;
  const third = begin();
  await third.look();
  assert.equal(await moved(), 1, 'the process is new, the file is a day old');
  await appendFile(file, 'two\n');
  await third.look();
  assert.equal(await moved(), 1, 'the next one is new');
});

test('a file that was empty for long is as old as its first line', async (t) => {
  const { file, clock, begin, moved } = await scene(t);
  await writeFile(file, '');
  clock.aheadMs = 3 * DAY_MS;
  const rotation = begin();
  await rotation.look();
  await appendFile(file, 'one\n');
  await rotation.look();
  assert.equal(await moved(), 0);
  clock.aheadMs += DAY_MS + 1_000;
  await rotation.look();
  assert.equal(await moved(), 1);
});

test('the oldest files are deleted', async (t) => {
  const { file, clock, begin, moved } = await scene(t);
  await writeFile(file, 'one\n');
  const rotation = begin({ maxBytes: 3, everyMs: null, keep: 2 });
  for (let i = 0; i < 4; i++) {
    clock.aheadMs += 1_000;
    await rotation.look();
    await writeFile(file, `line ${i}\n`);
    // Their names are times, to the millisecond.
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(await moved(), 2);
});

/**
 * The only worker of a gateway dies: with a spare standing by that costs what it had in flight. One that is merely not
 * to be trusted any more is replaced without a loss, since it goes on until its successor listens.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import { Fleet } from '../support/fleet.ts';
import { startTestGateway } from '../support/gateway.ts';
import { Load } from '../support/measured-load.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';

const PATIENCE_MS = 60_000;
const CALLERS = 12;
const EVERY_MS = 50;

const BOOM = `import { defineHandler } from 'gatehouse/policy';
export default defineHandler(() => {
  setTimeout(() => { throw new Error('nobody catches this'); });
  return new Response('soon');
});
`;

for (const death of [1, 2]) {
  test(`the only worker is ended: the spare listens, and only what was in flight is lost (${death})`, async (t) => {
    const fleet = await Fleet.start(t, ['a']);
    const gateway = await startTestGateway(t, {
      gateway: { workers: 1, spareWorker: true },
      services: { work: { instances: [fleet.get('a').url], pool: { perAddress: '100%' }, requestBuffer: 'off' } },
      routes: [{ match: { path: '/w/*' }, service: 'work', auth: 'public' }],
    });
    const { workers } = gateway.primary;
    const load = new Load(gateway.port, { everyMs: EVERY_MS });
    t.after(() => load.stop());
    await load.more(10);
    for (let i = 0; i < death; i++) {
      await until(() => workers.hasSpare, 'a spare stands by', PATIENCE_MS);
      const before = load.GET.lost + load.PUT.lost + load.POST.lost;
      const [{ threadId } = { threadId: 0 }] = workers.status();
      const beganMs = performance.now();
      await workers.terminate(0);
      await until(() => workers.listening === 1, 'one listens again', PATIENCE_MS);
      const gapMs = performance.now() - beganMs;
      assert.notEqual(workers.status()[0]?.threadId, threadId);
      await load.more(10);
      const lost = load.GET.lost + load.PUT.lost + load.POST.lost - before;
      t.diagnostic(
        `one listens again after ${Math.round(gapMs)} ms, ${lost} lost of ${(1_000 / EVERY_MS) * CALLERS}/s`,
      );
      // One for each caller was under way or on its way; then what was asked in between.
      assert.ok(lost <= CALLERS * (2 + gapMs / EVERY_MS), load.describe());
    }
    await load.stop();
    const took = gateway.logged.filter((line) => line.includes('the spare took its place'));
    assert.equal(took.length, death);
    assert.equal(gateway.logged.filter((line) => line.includes('is replaced')).length, 0, 'nobody had to start first');
    const [{ restarts } = { restarts: 0 }] = workers.status();
    assert.equal(restarts, death);
  });
}

for (const hasSpare of [false, true]) {
  const how = hasSpare ? 'with a spare' : 'before there is a spare';
  test(`an exception reaches the top of the only worker: nothing is lost, long exchanges finish (${how})`, async (t) => {
    const fleet = await Fleet.start(t, ['a', 'slow']);
    await fleet.get('slow').become({ kind: 'slow', ms: 2_500 });
    const gateway = await startTestGateway(t, {
      gateway: { workers: 1, spareWorker: true },
      services: {
        work: { instances: [fleet.get('a').url], pool: { perAddress: '100%' }, requestBuffer: 'off' },
        slow: { instances: [fleet.get('slow').url] },
      },
      routes: [
        { match: { path: '/w/*' }, service: 'work', auth: 'public' },
        { match: { path: '/slow' }, service: 'slow', auth: 'public' },
        { match: { path: '/boom' }, handler: await boomFile(t), auth: 'public' },
      ],
    });
    const { workers } = gateway.primary;
    const load = new Load(gateway.port, { everyMs: EVERY_MS });
    t.after(() => load.stop());
    await load.more(10);
    if (hasSpare) await until(() => workers.hasSpare, 'a spare stands by', PATIENCE_MS);
    const slow = new RawCaller(gateway.port).send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
    const slowBegun = async (): Promise<boolean> => (await fleet.journal()).some(({ instance }) => instance === 'slow');
    for (const giveUp = AbortSignal.timeout(PATIENCE_MS); !(await slowBegun()); ) giveUp.throwIfAborted();
    const [{ threadId } = { threadId: 0 }] = workers.status();
    const boom = new RawCaller(gateway.port).send('GET /boom HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    const isReplaced = (): boolean => workers.listening === 1 && workers.status()[0]?.threadId !== threadId;
    await until(isReplaced, 'another one listens', PATIENCE_MS);
    assert.equal((await slow.answer()).status, 200);
    await load.more(20);
    await load.stop();
    slow.close();
    boom.close();
    t.diagnostic(load.describe());
    for (const tally of [load.GET, load.PUT, load.POST]) assert.equal(tally.lost, 0, load.describe());
  });
}

async function boomFile(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-boom-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'boom.ts');
  await writeFile(file, BOOM);
  return file;
}

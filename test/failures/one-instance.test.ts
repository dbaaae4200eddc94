/** One of three instances fails, in each way that a process can: what the callers of the service see of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endScene, startScene } from '../support/fault-scene.ts';
import type { Mood } from '../support/fleet.ts';
import { until } from '../support/until.ts';

const PATIENCE_MS = 9_000;

test('an instance is killed and starts again on its port', async (t) => {
  const scene = await startScene(t);
  const { fleet, load } = scene;
  const b = fleet.get('b');
  await b.kill();
  const before = load.GET.answered('b');
  await load.more(60);
  assert.equal(load.GET.answered('b'), before);
  await b.start();
  await until(() => load.GET.answered('b') >= before + 10, 'traffic comes back to it', PATIENCE_MS);
  await endScene(t, scene);
});

test('an instance hangs (SIGSTOP) and goes on (SIGCONT)', async (t) => {
  const scene = await startScene(t);
  const { fleet, load } = scene;
  const b = fleet.get('b');
  b.stop();
  await load.more(80);
  const before = load.GET.answered('b');
  b.resume();
  await until(() => load.GET.answered('b') >= before + 10, 'traffic comes back to it', PATIENCE_MS);
  await endScene(t, scene);
});

const moods: { name: string; mood: Mood; honest?: string[] }[] = [
  { name: 'resets each connection that asks it something', mood: { kind: 'resets' } },
  { name: 'answers garbage', mood: { kind: 'garbage' } },
  { name: 'is slower than it may be', mood: { kind: 'slow', ms: 5_000 } },
  { name: 'answers 500', mood: { kind: 'errors' }, honest: ['500 of the instance'] },
];

for (const { name, mood, honest } of moods) {
  test(`an instance ${name} for a while`, async (t) => {
    const scene = await startScene(t);
    const { fleet, load, gateway } = scene;
    const b = fleet.get('b');
    await b.become(mood);
    await until(() => gateway.logged.some((line) => line.includes('instance ejected')), 'its ejection', PATIENCE_MS);
    await load.more(30);
    await b.become({ kind: 'well' });
    const before = load.GET.answered('b');
    await until(() => load.GET.answered('b') >= before + 10, 'traffic comes back to it', PATIENCE_MS);
    await endScene(t, scene, honest);
    assert.ok(gateway.logged.some((line) => line.includes('ejected instance is back')));
  });
}

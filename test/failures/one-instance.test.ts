/** One of three instances fails, in each way that a process can: what the callers of the service see of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endScene, startScene } from '../support/fault-scene.ts';
import type { Mood } from '../support/fleet.ts';
import { Load } from '../support/measured-load.ts';
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

const moods: { name: string; mood: Mood }[] = [
  { name: 'resets each connection that asks it something', mood: { kind: 'resets' } },
  { name: 'answers garbage', mood: { kind: 'garbage' } },
  { name: 'is slower than it may be', mood: { kind: 'slow', ms: 5_000 } },
  { name: 'answers 500', mood: { kind: 'errors' } },
];

test('an instance fails for a while, once in each way that a running process can', async (t) => {
  const scene = await startScene(t);
  const { fleet, gateway } = scene;
  await scene.load.stop();
  const b = fleet.get('b');
  for (const { name, mood } of moods) {
    await t.test(name, async (each) => {
      const load = new Load(gateway.port);
      each.after(() => load.stop());
      await until(() => load.GET.answered('b') >= 5, 'traffic at it', PATIENCE_MS).catch((error: Error) => {
        const counts = ['a', 'b', 'c'].map((one) => `${one} ${load.GET.answered(one)}`).join(', ');
        assert.fail(`${error.message}; responses of ${counts}; ${gateway.logged.slice(-8).join('')}`);
      });
      const logged = gateway.logged.length;
      const told = (message: string): boolean =>
        gateway.logged.slice(logged).some((line) => line.includes(message) && line.includes(`:${b.port}"`));
      await b.become(mood);
      await until(() => told('instance ejected'), 'its ejection', PATIENCE_MS);
      await load.more(30);
      await b.become({ kind: 'well' });
      const before = load.GET.answered('b');
      await until(() => load.GET.answered('b') >= before + 10, 'traffic comes back to it', PATIENCE_MS);
      await endScene(each, { fleet, gateway, load }, mood.kind === 'errors' ? ['500 of the instance'] : []);
      assert.ok(told('ejected instance is back'));
    });
  }
});

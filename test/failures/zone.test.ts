/** A whole zone is lost, and a zone that has its fill: where the traffic of a zone-aware service goes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endScene, startScene } from '../support/fault-scene.ts';
import { until } from '../support/until.ts';

const PATIENCE_MS = 9_000;
const NAMES = ['near1', 'near2', 'far1', 'far2'];
const instance = (name: string) => ({ zone: name.slice(0, -1) });

test('the local zone is lost and comes back: its traffic spills over to the other one', async (t) => {
  const scene = await startScene(t, { names: NAMES, instance, service: { zone: { local: 'near' } } });
  const { fleet, load } = scene;
  const answered = (zone: string) => load.GET.answered(`${zone}1`) + load.GET.answered(`${zone}2`);
  assert.deepEqual([answered('near') > 0, answered('far')], [true, 0]);
  await Promise.all([fleet.get('near1').kill(), fleet.get('near2').kill()]);
  const [near, far] = [answered('near'), answered('far')];
  await load.more(40);
  // What was on its way when the zone went counts for it; nothing after.
  assert.ok(answered('near') <= near + 6 && answered('far') > far, `${answered('near') - near}, ${answered('far')}`);
  await Promise.all([fleet.get('near1').start(), fleet.get('near2').start()]);
  const back = answered('near');
  await until(() => answered('near') >= back + 20, 'traffic comes back to the zone', PATIENCE_MS);
  await endScene(t, scene);
});

test('the local zone has its fill: what is more spills over, what is not stays', async (t) => {
  const scene = await startScene(t, {
    names: NAMES,
    instance,
    service: { zone: { local: 'near', maxInFlightPerInstance: 2 } },
    load: { callers: { GET: 8, PUT: 0, POST: 0 } },
  });
  const { fleet, load } = scene;
  await Promise.all(['near1', 'near2'].map((name) => fleet.get(name).become({ kind: 'slow', ms: 100 })));
  await until(
    () => load.GET.answered('far1') + load.GET.answered('far2') >= 20,
    'traffic in the far zone',
    PATIENCE_MS,
  );
  const near = load.GET.answered('near1') + load.GET.answered('near2');
  await load.more(40);
  assert.ok(load.GET.answered('near1') + load.GET.answered('near2') > near, 'the near zone still takes its part');
  await endScene(t, scene);
});

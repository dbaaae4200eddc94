/** kill -9 of the queen in every state of a rollout: the next one ends it, and callers of the others lose nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { killQueenIn, type OpenState } from '../support/cluster-faults.ts';
import { Callers } from '../support/cluster-nodes.ts';
import { ClusterScene, type StoreKind } from '../support/cluster-scene.ts';

/** A rollout waits for the killed node until it is gone. */
const GONE_SOON = { suspectAfter: '5s', goneAfter: '10s' };

export function queenKilledSuite(store: StoreKind, states: readonly OpenState[]): void {
  test(`on ${store}: the queen is killed while a rollout is ${states.join(', ')}, and the next one ends it`, async (t) => {
    const scene = await ClusterScene.open(t, { store, cluster: GONE_SOON });
    for (const state of states) {
      const queen = await scene.queen();
      const callers = new Callers(t, scene.othersThan(queen));
      const { line } = await killQueenIn(scene, state);
      await callers.stop();
      console.log(`${store}: ${line}; callers: ${callers.served} served, ${callers.failures} failures`);
      assert.equal(callers.failures, 0, state);
      assert.ok(callers.served > 0);
    }
  });
}

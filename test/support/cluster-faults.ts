/**
 * What can happen to a cluster, each as one function that does it, checks what must hold, and leaves the cluster whole:
 * the tests run each on a cluster of its own, the drill one after the other on one. A version that is rolled out
 * answers with its own name.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Rollouts } from '../../src/control/cluster/rollout.ts';
import { version, waitFor } from './cluster-nodes.ts';
import type { ClusterScene } from './cluster-scene.ts';
import { pauseProcess } from './pause.ts';

export interface Told {
  /** For the log: what was seen. */
  readonly line: string;
}

let versions = 0;
const HOUR_MS = 3_600_000;
const MOST_TRIES = 10;
const SETTINGS = {
  judgeWithinMs: null,
  waveWatchMs: 500,
  canaryShare: 0.1,
  stepTimeoutMs: 60_000,
  waves: [0.6, 1],
  minRequests: 50,
  significance: 0.01,
  latencyRatio: 2,
};
const POLICIES = new URL('../../src/data/contract/user-policy.ts', import.meta.url).href;

export const ROLLOUT_STATES = ['checking', 'canary', 'watching', 'waves', 'rolling-back'] as const;
export type OpenState = (typeof ROLLOUT_STATES)[number];

/** kill -9 of the queen at the moment the rollout is in this state; the next one ends it. The victim starts again. */
export async function killQueenIn(scene: ClusterScene, state: OpenState): Promise<Told> {
  const queen = await scene.queen();
  const others = scene.othersThan(queen);
  const { id, name, before } = await rolloutIn(scene, state);
  const killedMs = performance.now();
  await scene.kill(queen);
  const last = await scene.lastEvent();
  const stateThen = await scene.stateOf(id);
  const next = await scene.queen(queen, others);
  const failOverMs = Math.round(performance.now() - killedMs);
  const ended = await scene.end(id);
  const want = ended.state === 'done' ? name : before;
  await scene.answers(want, others);
  if (state === 'rolling-back') assert.equal(ended.state, 'rolled-back');
  else assert.ok(['done', 'rolled-back'].includes(ended.state), ended.state);
  await assertEpochsGrow(scene, last);
  await scene.start(queen);
  await scene.isWhole();
  await scene.answers(want);
  const why = ended.reason === '' ? '' : ` (${ended.reason})`;
  return { line: `killed in ${stateThen}: queen ${queen} -> ${next} in ${failOverMs} ms, ${ended.state}${why}` };
}

/**
 * A rollout that is in this state just now. States pass in tens of milliseconds: one that was missed is tried again.
 */
async function rolloutIn(
  scene: ClusterScene,
  state: OpenState,
): Promise<{ readonly id: string; readonly name: string; readonly before: string }> {
  const rollouts = new Rollouts(scene.db);
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const before = await bodyOf(scene);
    await scene.answers(before);
    const name = `version ${++versions}`;
    const settings = { ...SETTINGS, watchMs: state === 'rolling-back' ? 30_000 : 1_000 };
    const proposal = { document: version(name), author: 'test', reason: state, settings, force: false };
    const { id } = await rollouts.propose(proposal);
    if (state === 'rolling-back') {
      await scene.reaches(id, 'watching');
      await rollouts.abort(id, 'test', 'to be killed on the way back');
    }
    if (await scene.reaches(id, state)) return { id, name, before };
    await scene.end(id);
  }
  throw new Error(`no rollout was seen ${state} in ${MOST_TRIES} tries`);
}

/** SIGSTOP of the queen for so long: another one follows, and what the stopped one writes afterwards is refused. */
export async function stopQueen(scene: ClusterScene, forMs: number): Promise<Told> {
  const queen = await scene.queen();
  const others = scene.othersThan(queen);
  const stoppedMs = performance.now();
  pauseProcess(scene.node(queen).child.pid!);
  try {
    const next = await scene.queen(queen, others);
    const failOverMs = Math.round(performance.now() - stoppedMs);
    await pause(forMs - (performance.now() - stoppedMs));
    const last = await scene.lastEvent();
    scene.node(queen).child.kill('SIGCONT');
    await scene.isWhole();
    // The work of several rounds: what a queen that believes it is one would have written by now.
    await pause(2_000);
    await assertEpochsGrow(scene, last, (await scene.client(...others).status()).epoch);
    assert.equal(await scene.queen(), next, 'who took over stays');
    return { line: `stopped for ${forMs} ms: queen ${queen} -> ${next} in ${failOverMs} ms, nothing written late` };
  } finally {
    scene.node(queen).child.kill('SIGCONT');
  }
}

/** The queen's line to the store is cut, and nobody tells it: it steps down by its own clock, another one follows. */
export async function cutOffQueen(scene: ClusterScene): Promise<Told> {
  const queen = await scene.queen();
  const others = scene.othersThan(queen);
  const cutMs = performance.now();
  scene.line(queen).cut();
  try {
    const next = await scene.queen(queen, others);
    const failOverMs = Math.round(performance.now() - cutMs);
    const body = await bodyOf(scene);
    await scene.answers(body);
    const last = await scene.lastEvent();
    scene.line(queen).mend();
    await scene.isWhole();
    await pause(2_000);
    await assertEpochsGrow(scene, last, (await scene.client(...others).status()).epoch);
    return { line: `cut off: queen ${queen} -> ${next} in ${failOverMs} ms` };
  } finally {
    scene.line(queen).mend();
  }
}

/** The time of day of the queen steps, there and back: it stays the queen, nobody is gone, a rollout goes through. */
export async function stepClock(scene: ClusterScene): Promise<Told> {
  const queen = await scene.queen();
  const { epoch } = await scene.client().status();
  const last = await scene.lastEvent();
  const name = `version ${++versions}`;
  for (const shiftMs of [HOUR_MS, -HOUR_MS, 0]) {
    scene.setClock(queen, shiftMs);
    await pause(1_500);
    const status = await scene.client().status();
    assert.deepEqual([status.queen, status.epoch, status.nodes['alive']], [queen, epoch, 3], `${shiftMs} ms off`);
  }
  scene.setClock(queen, HOUR_MS);
  const { id } = await scene.client().rollOut({ document: version(name), reason: 'a wrong clock' });
  const ended = await scene.end(id);
  assert.equal(ended.state, 'done', ended.reason);
  await scene.answers(name);
  scene.setClock(queen, 0);
  const types = await scene.eventsAfter(last);
  assert.ok(!types.some((type) => type === 'node.gone' || type === 'queen.elected'), types.join(' '));
  return { line: `clock of ${queen} off by an hour, both ways: still the queen, a version went through` };
}

/** The store is away for so long: every node goes on, the API says so, and the cluster is whole again afterwards. */
export async function storeAway(scene: ClusterScene, forMs: number): Promise<Told> {
  const body = await bodyOf(scene);
  await scene.haltStore();
  const untilMs = performance.now() + forMs;
  let rounds = 0;
  try {
    while (performance.now() < untilMs) {
      await scene.answers(body);
      rounds++;
      await pause(500);
    }
  } finally {
    await scene.startStore();
  }
  await scene.isWhole();
  return { line: `store away for ${forMs} ms: every node served ${JSON.stringify(body)}, looked at ${rounds} times` };
}

/** A bad version by what finds it: the check of one node, the canary whose worker ends, the gate. None reaches more. */
export async function badVersion(scene: ClusterScene, foundBy: 'check' | 'canary' | 'gate'): Promise<Told> {
  const body = await bodyOf(scene);
  const number = ++versions;
  const { id } = await scene.client().rollOut({ document: await badDocument(scene, foundBy, number), reason: foundBy });
  const [canary, ...rest] = [...scene.nodes];
  if (foundBy === 'gate') {
    assert.ok(await scene.reaches(id, 'watching'));
    await scene.answers(body, rest);
  }
  const ended = await scene.end(id);
  const want = {
    check: ['rejected', /refuses it/],
    canary: ['rolled-back', /ended with it|is unhealthy/],
    gate: ['rolled-back', /requests on the canary failed/],
  } as const;
  assert.equal(ended.state, want[foundBy][0], ended.reason);
  assert.match(ended.reason, want[foundBy][1]);
  await scene.answers(body);
  return {
    line: `bad version found by ${foundBy}, on ${canary?.name}: ${ended.state} (${ended.reason.slice(0, 120)})`,
  };
}

async function badDocument(scene: ClusterScene, foundBy: 'check' | 'canary' | 'gate', number: number): Promise<string> {
  if (foundBy === 'check') return `routes: [{ match: { path: /hello }, service: nobody-${number} }]`;
  const route = 'match: { path: /hello }, auth: public';
  if (foundBy === 'gate') return `routes: [{ ${route}, respond: { status: 500, body: "bad ${number}" } }]`;
  // Answers well, and takes its worker down a moment later.
  const file = join(scene.folder, `bad-${number}.mjs`);
  await writeFile(
    file,
    `import { defineHandler } from ${JSON.stringify(POLICIES)};
export default defineHandler(() => {
  setTimeout(() => {
    throw new Error('a bug of this version');
  }, 1);
  return new Response('bad ${number}');
});
`,
  );
  return `routes: [{ ${route}, handler: { file: ${JSON.stringify(file)} } }]`;
}

/** What the cluster runs: every node answers the same. A canary may have an undone version for a moment longer. */
async function bodyOf(scene: ClusterScene): Promise<string> {
  const bodies = await waitFor(
    () => Promise.all(scene.nodes.map(async ({ url }) => (await fetch(`${url}/hello`)).text())),
    (all) => new Set(all).size === 1,
    'every node answers the same',
    60_000,
  );
  return bodies[0]!;
}

/** Of the events after this one, none is of an epoch before another's, nor before `least`. */
async function assertEpochsGrow(scene: ClusterScene, after: number, least = 0): Promise<void> {
  const epochs = await scene.epochsAfter(after);
  assert.deepEqual(
    epochs,
    [...epochs].sort((a, b) => a - b),
    'an older queen wrote after a newer one',
  );
  assert.ok(
    epochs.every((epoch) => epoch >= least),
    `${epochs.join(' ')} against ${least}`,
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}

/** Each fuzz target over its corpus and a fixed number of damaged inputs, always the same ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runWatched } from './support/watched.ts';
import { TARGETS } from './targets.ts';

const SEED = 20_260_101;
const ITERATIONS = 6_000;

for (const { name, seeds } of TARGETS) {
  test(`${name}: nothing throws, hangs or is read in two ways`, async (t) => {
    assert.ok(seeds.length >= 10, 'the corpus is there');
    const report = await runWatched(name, { seed: SEED, iterations: ITERATIONS, forMs: Number.POSITIVE_INFINITY });
    t.diagnostic(`seed ${SEED}: ${report.inputs} inputs, ${report.outcomes} outcomes`);
    assert.equal(
      report.failure,
      null,
      `${JSON.stringify(report.failure?.input)}: ${report.failure?.problem} (found with seed ${SEED})`,
    );
    assert.equal(report.inputs, ITERATIONS);
    assert.ok(report.outcomes >= 10, 'damaged inputs lead to different outcomes');
  });
}

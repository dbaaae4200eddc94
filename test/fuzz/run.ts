/**
 * Fuzzes the parsers for a while: `node test/fuzz/run.ts [--seconds 10] [--target NAME] [--seed N] [--keep]`. Seconds
 * are per target. With `--keep` inputs that led to something new join the corpus; one that fails always does, so that
 * it is a test from then on. Exit 1 when something failed.
 */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runWatched } from './support/watched.ts';
import { TARGETS } from './targets.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    target: { type: 'string' },
    seed: { type: 'string', default: `${Date.now() % 1e9}` },
    keep: { type: 'boolean', default: false },
  },
});
const seconds = Number(values.seconds);
const seed = Number(values.seed);
const chosen = TARGETS.filter(({ name }) => values.target === undefined || name === values.target);
if (!(seconds > 0) || !Number.isInteger(seed) || chosen.length === 0) {
  console.error(`--seconds above 0, --seed an integer, --target one of ${TARGETS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
for (const { name } of chosen) {
  const plan = { seed, iterations: Number.POSITIVE_INFINITY, forMs: seconds * 1_000 };
  const report = await runWatched(name, plan);
  console.log(`${name}: ${report.inputs} inputs, ${report.outcomes} outcomes, seed ${seed}`);
  if (values.keep) for (const input of report.found) console.log(`  kept ${keep(name, input)}`);
  if (report.failure === null) continue;
  console.log(`  FAILED, kept as ${keep(`${name}-failed`, report.failure.input)}\n${report.failure.problem}`);
  process.exitCode = 1;
}

function keep(prefix: string, input: string): string {
  const bytes = Buffer.from(input, 'latin1');
  const file = `${prefix}-${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}`;
  writeFileSync(new URL(`corpus/${file}`, import.meta.url), bytes);
  return file;
}

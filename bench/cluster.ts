/**
 * `npm run bench:cluster`: what a cluster costs its store and how quick it is, simulated in one process by the parts
 * that a gateway runs (agent, election, crowd, facts), each node with its own timers, over a real SQLite file or a real
 * PostgreSQL (`--store postgres://...`):
 *
 *   statements   a second that N nodes send, by what they are for, in the steady state
 *   calls        p50 and p99 of the common calls of the API while 50 nodes send heartbeats
 *   convergence  of a version over 20 nodes, from the gate to the last node that runs it
 *   fail-over    from the death of the queen to the next one
 *
 * Statements are counted in simulated time (SQLite only), everything else in the time of the wall.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { calls } from './cluster/calls.ts';
import { convergence } from './cluster/convergence.ts';
import { failOver } from './cluster/fail-over.ts';
import { openCluster } from './cluster/simulated.ts';
import { statements } from './cluster/statements.ts';
import { readArguments } from './lib/arguments.ts';

const values = readArguments(import.meta.filename, {
  store: { type: 'string' },
  nodes: { type: 'string', default: '1000' },
  seconds: { type: 'string', default: '20' },
  only: { type: 'string', choices: ['statements', 'calls', 'convergence', 'fail-over'] },
});

/** What docs/guide/cluster-capacity.md promises. */
const WANTED = { statements: 500, callMs: 5, convergenceMs: 3_000, failOverMs: 10_000 };
const folder = mkdtempSync(join(tmpdir(), 'gh-bench-cluster-'));
const failed: string[] = [];

function say(what: string, value: number, most: number, unit: string, more = ''): void {
  if (value > most) failed.push(what);
  const verdict = value <= most ? 'as wanted' : 'TOO MUCH';
  console.log(
    `${what}: ${value.toFixed(unit === 'ms' && value < 100 ? 2 : 0)} ${unit} (at most ${most}: ${verdict})${more}`,
  );
}

async function part(name: string, run: (url: string) => Promise<void>): Promise<void> {
  if (values.only !== undefined && values.only !== name) return;
  // Each on a store of its own: a PostgreSQL database is emptied before.
  await run(values.store ?? `sqlite:${join(folder, `${name}.db`)}`);
}

try {
  await part('statements', async () => {
    const url = `sqlite:${join(folder, 'statements.db')}`;
    const nodes = Number(values.nodes);
    const { perSecond, byKind } = await statements(url, nodes, Number(values.seconds));
    say(`statements of ${nodes} nodes`, perSecond, WANTED.statements, 'a second', `: ${byKind}`);
  });
  await part('calls', async (url) => {
    const cluster = await openCluster(url, 50);
    for (const { call, p50, p99 } of await calls(cluster, Number(values.seconds)))
      say(`${call}, p99 with 50 nodes`, p99, WANTED.callMs, 'ms', `, p50 ${p50.toFixed(2)} ms`);
    await cluster.close();
  });
  await part('convergence', async (url) => {
    const cluster = await openCluster(url, 20);
    const { afterGateMs, wholeMs } = await convergence(cluster);
    say(
      'convergence of 20 nodes after the gate',
      afterGateMs,
      WANTED.convergenceMs,
      'ms',
      `, whole ${Math.round(wholeMs)} ms`,
    );
    await cluster.close();
  });
  await part('fail-over', async (url) => {
    const cluster = await openCluster(url, 20);
    const times = await failOver(cluster, 5);
    say(
      'fail-over of the queen, the longest of 5',
      Math.max(...times),
      WANTED.failOverMs,
      'ms',
      `: ${times.map(Math.round).join(' ')}`,
    );
    await cluster.close();
  });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (failed.length > 0) {
  console.error(`not as wanted: ${failed.join('; ')}`);
  process.exitCode = 1;
}

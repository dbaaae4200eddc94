/**
 * Statements a second in the steady state, and what they are. In simulated time: the timers of all nodes fire in their
 * order as fast as the store answers, so that the figure is of the nodes' intervals and not of this machine.
 */
import { FakeTimers } from '../../test/support/fake-timers.ts';
import { openCluster, PLAN } from './simulated.ts';

/** Nodes begin at one time; after this they have spread. */
const SETTLE_MS = 15_000;
const DAY_MS = 86_400_000;

export async function statements(
  url: string,
  count: number,
  seconds: number,
): Promise<{ readonly perSecond: number; readonly byKind: string }> {
  const timers = new FakeTimers();
  // The store has a clock of its own, which goes another pace than the simulated one: it shall decide nothing here.
  const plan = {
    ...PLAN,
    election: { ...PLAN.election, leaseMs: DAY_MS },
    members: { ...PLAN.members, suspectMs: DAY_MS, goneMs: 2 * DAY_MS },
  };
  const cluster = await openCluster(url, count, { time: { clock: timers.clock, timers }, plan });
  await timers.advance(SETTLE_MS);
  const before = new Map(cluster.counts);
  await timers.advance(seconds * 1_000);
  const rates = [...cluster.counts]
    .map(([kind, total]) => [kind, (total - (before.get(kind) ?? 0)) / seconds] as const)
    .sort(([, a], [, b]) => b - a);
  await cluster.close();
  return {
    perSecond: rates.reduce((sum, [, rate]) => sum + rate, 0),
    byKind: rates
      .filter(([, rate]) => rate >= 0.5)
      .map(([kind, rate]) => `${kind} ${rate.toFixed(1)}`)
      .join(', '),
  };
}

/** Statements a second in the steady state, and what they are. */
import { pause, type SimulatedCluster } from './simulated.ts';

export async function statements(
  { counts }: SimulatedCluster,
  seconds: number,
): Promise<{ readonly perSecond: number; readonly byKind: string }> {
  const before = new Map(counts);
  const startedMs = performance.now();
  await pause(seconds * 1_000);
  const passed = (performance.now() - startedMs) / 1_000;
  const rates = [...counts]
    .map(([kind, count]) => [kind, (count - (before.get(kind) ?? 0)) / passed] as const)
    .sort(([, a], [, b]) => b - a);
  return {
    perSecond: rates.reduce((sum, [, rate]) => sum + rate, 0),
    byKind: rates
      .filter(([, rate]) => rate >= 0.5)
      .map(([kind, rate]) => `${kind} ${rate.toFixed(1)}`)
      .join(', '),
  };
}

/** From the gate, that is when the canary has been watched, to the last node that runs the version. */
import { pause, type SimulatedCluster } from './simulated.ts';

export async function convergence({ nodes }: SimulatedCluster): Promise<{ afterGateMs: number; wholeMs: number }> {
  const { cluster } = nodes[0]!;
  while ((await cluster.queenName()) === null) await pause(50);
  const startedMs = performance.now();
  const { id, version } = await cluster.rollouts.propose({
    document: 'routes: []',
    author: 'bench',
    reason: 'bench',
    settings: cluster.plan.rollout,
    force: true,
  });
  let gateMs = 0;
  for (;;) {
    const { state, reason } = await cluster.rollouts.get(id);
    const nowMs = performance.now();
    if (gateMs === 0 && (state === 'waves' || state === 'done')) gateMs = nowMs;
    if (state === 'rejected' || state.startsWith('roll')) throw new Error(`it is ${state}: ${reason}`);
    if (nodes.every(({ agent }) => agent.appliedVersion === version))
      return { afterGateMs: nowMs - gateMs, wholeMs: nowMs - startedMs };
    await pause(5);
  }
}

/** From the death of the queen, which gives nothing up, to the next one. */
import { pause, type SimulatedCluster } from './simulated.ts';

export async function failOver({ nodes }: SimulatedCluster, times: number): Promise<number[]> {
  const found: number[] = [];
  const dead = new Set<string>();
  for (let i = 0; i < times; i++) {
    const alive = () => nodes.filter(({ name }) => !dead.has(name));
    const queen = await waitForQueen(alive);
    dead.add(queen.name);
    queen.die();
    const diedMs = performance.now();
    await waitForQueen(alive);
    found.push(performance.now() - diedMs);
    await pause(1_000);
  }
  return found;
}

async function waitForQueen(alive: () => SimulatedCluster['nodes']) {
  for (;;) {
    const queen = alive().find(({ cluster }) => cluster.isQueen);
    if (queen !== undefined) return queen;
    await pause(5);
  }
}

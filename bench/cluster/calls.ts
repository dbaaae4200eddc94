/** Times of the common calls of the API of one node while all nodes send heartbeats; without the gateway in front. */
import { createLogger } from '../../src/base/log.ts';
import { createClusterApp } from '../../src/control/cluster/app.ts';
import { localCaller } from '../../src/control/cluster/caller.ts';
import { pause, type SimulatedCluster } from './simulated.ts';

const CALLS = ['/cluster', '/nodes', '/cluster/tasks?limit=10', '/cluster/events?after=0&limit=100'] as const;
const PAUSE_MS = 10;

export interface CallTimes {
  readonly call: string;
  readonly p50: number;
  readonly p99: number;
}

export async function calls({ nodes }: SimulatedCluster, seconds: number): Promise<CallTimes[]> {
  const app = createClusterApp({
    cluster: nodes[0]!.cluster,
    caller: localCaller,
    errorFormat: () => 'problem',
    log: createLogger('silent'),
    path: '/',
    version: 'bench',
  });
  const times = new Map<string, number[]>(CALLS.map((call) => [call, []]));
  const untilMs = performance.now() + seconds * 1_000;
  for (let i = 0; performance.now() < untilMs; i++) {
    const call = CALLS[i % CALLS.length]!;
    const startedMs = performance.now();
    const response = await app.fetch(new Request(`http://cluster${call}`));
    await response.arrayBuffer();
    if (response.status !== 200) throw new Error(`${call} gave ${response.status}`);
    // The first ones compile statements and schemas.
    if (i >= 20 * CALLS.length) times.get(call)!.push(performance.now() - startedMs);
    await pause(PAUSE_MS);
  }
  return CALLS.map((call) => {
    const sorted = times.get(call)!.sort((a, b) => a - b);
    const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
    return { call: `GET ${call}`, p50: at(0.5), p99: at(0.99) };
  });
}

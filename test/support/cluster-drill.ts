/**
 * Every fault that a cluster should survive, one after the other, while clients ask for a route of it. A client knows
 * all nodes and asks another one when one does not answer, as behind a load balancer; a call is good when it is
 * answered with 200 in the end. (The version that the gate finds answers 500 on purpose: not here, in the test.)
 */
import {
  badVersion,
  cutOffQueen,
  killQueenIn,
  ROLLOUT_STATES,
  stepClock,
  stopQueen,
  storeAway,
  type Told,
} from './cluster-faults.ts';
import { ClusterScene, type StoreKind } from './cluster-scene.ts';
import type { Scope } from './scope.ts';

export interface DrillWishes {
  readonly store: StoreKind;
  readonly forMs: number;
  readonly say: (line: string) => void;
  /** Default: all that the store can have. */
  readonly faults?: readonly string[];
}

export interface Drilled {
  readonly calls: number;
  readonly good: number;
  readonly faults: number;
  /** What calls got that were not good, and how often. */
  readonly missed: ReadonlyMap<string, number>;
}

type Fault = readonly [name: string, run: (scene: ClusterScene) => Promise<Told>];

const CLIENTS = 6;
const PAUSE_MS = 20;
/** After this a client asks another node. */
const PATIENCE_MS = 1_000;

const ANYWHERE: readonly Fault[] = [
  ...ROLLOUT_STATES.map((state): Fault => [`kill-${state}`, (scene) => killQueenIn(scene, state)]),
  ['clock', stepClock],
  ['bad-check', (scene) => badVersion(scene, 'check')],
  ['bad-canary', (scene) => badVersion(scene, 'canary')],
];
/** A process that stands still may hold the lock of an SQLite file, and there is no line to cut. */
const ON_POSTGRES: readonly Fault[] = [
  ['stop', (scene) => stopQueen(scene, 20_000)],
  ['cut', cutOffQueen],
  ['away', (scene) => storeAway(scene, 30_000)],
];

export async function drill(scope: Scope, { store, forMs, say, faults: names }: DrillWishes): Promise<Drilled> {
  const scene = await ClusterScene.open(scope, { store });
  const all = store === 'PostgreSQL' ? [...ANYWHERE, ...ON_POSTGRES] : ANYWHERE;
  const wanted = names === undefined ? all : all.filter(([name]) => names.includes(name));
  const clients = new Clients(scene);
  scope.after(() => clients.stop());
  const untilMs = performance.now() + forMs;
  let faults = 0;
  // At least one whole round, however short the time.
  while (faults < wanted.length || performance.now() < untilMs) {
    const [name, run] = wanted[faults % wanted.length]!;
    const { line } = await run(scene);
    const { calls, good } = clients;
    say(`${++faults} ${name}: ${line}; ${good} of ${calls} good so far`);
  }
  await clients.stop();
  return { calls: clients.calls, good: clients.good, faults, missed: clients.missed };
}

class Clients {
  calls = 0;
  good = 0;
  readonly missed = new Map<string, number>();
  readonly #scene: ClusterScene;
  readonly #loops: Promise<void>[];
  #isOver = false;

  constructor(scene: ClusterScene) {
    this.#scene = scene;
    this.#loops = Array.from({ length: CLIENTS }, (_, i) => this.#loop(i));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#loops);
  }

  async #loop(first: number): Promise<void> {
    for (let n = first; !this.#isOver; n++) {
      const problem = await this.#call(n);
      this.calls++;
      if (problem === null) this.good++;
      else this.missed.set(problem, (this.missed.get(problem) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  /** What was wrong with it, or null. */
  async #call(n: number): Promise<string | null> {
    let problem = '';
    // A node that is started again has another port.
    const { nodes } = this.#scene;
    for (let tried = 0; tried < nodes.length; tried++) {
      const node = nodes[(n + tried) % nodes.length]!;
      try {
        const response = await fetch(`${node.url}/hello`, { signal: AbortSignal.timeout(PATIENCE_MS) });
        await response.arrayBuffer();
        if (response.status === 200) return null;
        problem = `${response.status} of ${node.name}`;
      } catch (error) {
        problem = `${(error as Error).name} at ${node.name}`;
      }
    }
    return problem;
  }
}

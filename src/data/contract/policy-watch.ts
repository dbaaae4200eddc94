/**
 * What workers and control tell each other about users' policies: a small shared memory per worker, in which each
 * worker says which policy runs at this moment and counts what became of them, and messages for what does not fit in
 * numbers. A policy that never returns cannot be stopped in its own thread; control (control/policies/watchdog.ts) sees
 * it here.
 *
 *   cells: | running slot + 1 | runs begun | heartbeats | spoiled |   pending: | slot 0 | slot 1 | ... |
 *   counts: | slot 0: failures, timeouts, late | slot 1: ... |
 */

/** Worker to control, with a `PolicyTable`, each time a worker has loaded policies. */
export const POLICY_TABLE_TOPIC = 'policies:table';
/** Control to workers: ids (`idOf`) of policies that are out of use until their file changes. */
export const BROKEN_POLICIES_TOPIC = 'policies:broken';

export const MAX_POLICIES = 1_024;
export const POLICY_COUNTS = ['failures', 'timeouts', 'late'] as const;
export type PolicyCount = (typeof POLICY_COUNTS)[number];

const CELLS = 4;

export interface PolicyEntry {
  readonly slot: number;
  readonly name: string;
  readonly file: string;
  readonly version: string;
}

export interface PolicyTable {
  /** `threadId` of the worker. */
  readonly thread: number;
  readonly memory: SharedArrayBuffer;
  readonly policies: readonly PolicyEntry[];
  /** Modules loaded since the worker started, old versions included: they stay in memory. */
  readonly modules: number;
}

export function idOf({ file, version }: { readonly file: string; readonly version: string }): string {
  return `${file}@${version}`;
}

/**
 * Under which the texts of a module's files go to the workers beside the snapshot: a worker that starts later must not
 * read a file that has changed meanwhile for the version that is live.
 */
export function textsId(module: { readonly file: string; readonly version: string }): string {
  return `module/${idOf(module)}`;
}

export class PolicyWatch {
  readonly memory: SharedArrayBuffer;
  readonly #cells: Int32Array;
  readonly #counts: Float64Array;
  readonly #pending: Int32Array;

  constructor(memory = new SharedArrayBuffer((CELLS + MAX_POLICIES) * 4 + MAX_POLICIES * POLICY_COUNTS.length * 8)) {
    this.memory = memory;
    this.#cells = new Int32Array(memory, 0, CELLS);
    this.#pending = new Int32Array(memory, CELLS * 4, MAX_POLICIES);
    this.#counts = new Float64Array(memory, (CELLS + MAX_POLICIES) * 4);
  }

  /** Two plain stores: a reader that sees them out of order looks again soon. */
  enter(slot: number): void {
    this.#cells[1]!++;
    this.#cells[0] = slot + 1;
  }

  leave(): void {
    this.#cells[0] = 0;
  }

  /** A promise of it has not settled. */
  begin(slot: number): void {
    this.#pending[slot]!++;
  }

  end(slot: number): void {
    this.#pending[slot]!--;
  }

  /** Promises that have not settled. */
  pending(slot: number): number {
    return Atomics.load(this.#pending, slot);
  }

  /** By the worker, from time to time: a loop that no slot says anything of stops it. */
  beat(): void {
    this.#cells[2]!++;
  }

  beats(): number {
    return Atomics.load(this.#cells, 2);
  }

  /** By the worker: shared built-ins were changed, so the worker has to be replaced. */
  spoil(): void {
    this.#cells[3] = 1;
  }

  isSpoiled(): boolean {
    return Atomics.load(this.#cells, 3) === 1;
  }

  count(slot: number, what: PolicyCount): void {
    this.#counts[slot * POLICY_COUNTS.length + POLICY_COUNTS.indexOf(what)]! += 1;
  }

  read(slot: number, what: PolicyCount): number {
    return this.#counts[slot * POLICY_COUNTS.length + POLICY_COUNTS.indexOf(what)]!;
  }

  /** The slot of what runs now, or -1, and a number that changes with each run. */
  running(): { readonly slot: number; readonly run: number } {
    return { slot: Atomics.load(this.#cells, 0) - 1, run: Atomics.load(this.#cells, 1) };
  }
}

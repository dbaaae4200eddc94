/**
 * Request bodies that are still coming, looked over once a second while there are any: one address may have so many
 * slow ones, and of more the slowest end. A body that comes with its head is never here. Owner: the worker's thread.
 */
import type { Clock } from '../../base/clock.ts';
import { FAULTS, Fault } from '../../base/errors.ts';
import { Deadline, type DeadlineOwner, type TimerWheel } from '../../base/timers.ts';
import type { Source } from './sources.ts';

/** Below this a body is slow, once it has had its first seconds. */
const SLOW_BYTES_PER_SECOND = 8 * 1024;
export const FIRST_MS = 2_000;
const LOOK_MS = 1_000;

export interface AwaitedBody {
  /** Null: not counted. */
  readonly bodySource: Source | null;
  /**
   * Since its start, time in which it was not read left out; infinite while it is not read, and in its first seconds.
   */
  bodyRate(nowMs: number): number;
  onBodyTooMany(fault: Fault): void;
}

interface Host {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly limits: { readonly maxSlowBodiesPerAddress: number };
}

export class SlowBodies implements DeadlineOwner {
  readonly #host: Host;
  readonly #onCut: (source: Source, count: number) => void;
  readonly #awaited = new Set<AwaitedBody>();
  readonly #look = new Deadline(this, 0);

  /** `onCut`: so many bodies of an address were ended. */
  constructor(host: Host, onCut: (source: Source, count: number) => void) {
    this.#host = host;
    this.#onCut = onCut;
  }

  add(body: AwaitedBody): void {
    this.#awaited.add(body);
    if (!this.#look.isSet) this.#host.wheel.set(this.#look, LOOK_MS);
  }

  remove(body: AwaitedBody): void {
    this.#awaited.delete(body);
  }

  onDeadline(): void {
    const { clock, wheel, limits } = this.#host;
    const most = limits.maxSlowBodiesPerAddress;
    // No client can be above it.
    if (this.#awaited.size > most) this.#lookOver(clock.monotonicMs(), most);
    if (this.#awaited.size > 0) wheel.set(this.#look, LOOK_MS);
  }

  #lookOver(nowMs: number, most: number): void {
    const slow = new Map<Source, { readonly body: AwaitedBody; readonly rate: number }[]>();
    for (const body of this.#awaited) {
      const rate = body.bodyRate(nowMs);
      const source = rate < SLOW_BYTES_PER_SECOND ? body.bodySource : null;
      if (source === null) continue;
      const known = slow.get(source);
      if (known === undefined) slow.set(source, [{ body, rate }]);
      else known.push({ body, rate });
    }
    for (const [source, bodies] of slow) {
      if (bodies.length <= most) continue;
      bodies.sort((a, b) => a.rate - b.rate);
      const detail = `more than ${most} request bodies of ${source.name} are slow`;
      const cut = bodies.slice(0, bodies.length - most);
      for (const { body } of cut) body.onBodyTooMany(new Fault(FAULTS.bodyTimeout, { detail }));
      this.#onCut(source, cut.length);
    }
  }
}

/**
 * Good and bad requests of the last minutes, hours and days, in three rings: minutes of six hours, ten minutes of three
 * days, days of thirty.
 */

const MINUTE_MS = 60_000;

/** Windows of alerts, in minutes. */
export const WINDOWS = { '5m': 5, '30m': 30, '1h': 60, '6h': 360, '3d': 4_320 } as const;
export type WindowName = keyof typeof WINDOWS;

class Ring {
  readonly stepMs: number;
  /** Number of the step that each cell is about. */
  readonly #steps: Float64Array;
  readonly #totals: Float64Array;
  readonly #bads: Float64Array;

  constructor(stepMs: number, length: number) {
    this.stepMs = stepMs;
    this.#steps = new Float64Array(length).fill(-1);
    this.#totals = new Float64Array(length);
    this.#bads = new Float64Array(length);
  }

  add(wallMs: number, total: number, bad: number): void {
    const step = Math.floor(wallMs / this.stepMs);
    const cell = step % this.#steps.length;
    if (this.#steps[cell] !== step) {
      this.#steps[cell] = step;
      this.#totals[cell] = 0;
      this.#bads[cell] = 0;
    }
    this.#totals[cell]! += total;
    this.#bads[cell]! += bad;
  }

  /** The last `steps` steps, with the one that has begun. */
  sum(wallMs: number, steps: number): Counted {
    const newest = Math.floor(wallMs / this.stepMs);
    let total = 0;
    let bad = 0;
    for (let i = 0; i < this.#steps.length; i++) {
      const step = this.#steps[i]!;
      if (step > newest || step <= newest - steps) continue;
      total += this.#totals[i]!;
      bad += this.#bads[i]!;
    }
    return { total, bad };
  }

  save(): number[][] {
    return [...this.#steps].flatMap((step, i) =>
      step < 0 ? [] : [[step * this.stepMs, this.#totals[i]!, this.#bads[i]!]],
    );
  }
}

export interface Counted {
  readonly total: number;
  readonly bad: number;
}

export type SavedWindows = readonly (readonly (readonly number[])[])[];

export class ErrorWindows {
  readonly #minutes = new Ring(MINUTE_MS, 361);
  readonly #tens = new Ring(10 * MINUTE_MS, 433);
  readonly #days = new Ring(1_440 * MINUTE_MS, 31);

  add(wallMs: number, total: number, bad: number): void {
    for (const ring of this.#rings) ring.add(wallMs, total, bad);
  }

  of(wallMs: number, window: WindowName): Counted {
    const minutes = WINDOWS[window];
    return minutes <= 360 ? this.#minutes.sum(wallMs, minutes) : this.#tens.sum(wallMs, minutes / 10);
  }

  /** The last thirty days. */
  period(wallMs: number): Counted {
    return this.#days.sum(wallMs, 30);
  }

  save(): SavedWindows {
    return this.#rings.map((ring) => ring.save());
  }

  /** What is no list of numbers is left out. */
  restore(saved: unknown): void {
    if (!Array.isArray(saved)) return;
    for (const [i, ring] of this.#rings.entries())
      for (const cell of Array.isArray(saved[i]) ? (saved[i] as unknown[]) : []) {
        const [atMs, total, bad] = Array.isArray(cell) ? (cell as unknown[]) : [];
        if ([atMs, total, bad].every((value) => typeof value === 'number' && value >= 0 && Number.isFinite(value)))
          ring.add(atMs as number, total as number, bad as number);
      }
  }

  get #rings(): readonly Ring[] {
    return [this.#minutes, this.#tens, this.#days];
  }
}

/**
 * Tells control what the limits of this worker counted: every two seconds, only what changed, as differences, so that
 * control needs not know which worker it was and a worker that is replaced loses two seconds at most. Names are
 * bounded: plans, kinds of event, results.
 */
import { type Cancel, every } from '../../base/system-timers.ts';
import { COUNTS_TOPIC } from '../contract/limits.ts';
import type { ControlLink } from '../contract/policy.ts';

const TELL_EVERY_MS = 2_000;

/** Numbers that only grow, by name. */
export type CountSource = () => Readonly<Record<string, number>>;

export class CountReporter {
  readonly #control: ControlLink;
  readonly #sources: CountSource[] = [];
  readonly #reported = new Map<string, number>();
  #timer: Cancel | undefined;

  constructor(control: ControlLink) {
    this.#control = control;
  }

  add(source: CountSource): void {
    this.#sources.push(source);
    this.#timer ??= every(TELL_EVERY_MS, () => this.tell());
  }

  tell(): void {
    const changes: Record<string, number> = {};
    let isAny = false;
    for (const source of this.#sources) {
      for (const [name, value] of Object.entries(source())) {
        const change = value - (this.#reported.get(name) ?? 0);
        if (change === 0) continue;
        this.#reported.set(name, value);
        changes[name] = change;
        isAny = true;
      }
    }
    if (isAny) this.#control.tell(COUNTS_TOPIC, changes);
  }
}

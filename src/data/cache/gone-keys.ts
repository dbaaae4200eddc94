/**
 * First keys that unsafe requests made invalid, for the other nodes of a cluster that has no Redis: what comes close
 * together is one message to main, which tells the nodes (control/cache/fact-purges.ts). Called by invalidator.ts.
 */
import { type Cancel, systemTimers } from '../../base/system-timers.ts';
import { CACHE_GONE_TOPIC } from '../contract/cache.ts';
import type { ControlLink } from '../contract/policy.ts';

const GATHER_MS = 50;
const MOST = 1_000;

export class GoneKeys {
  /** False: nobody would hear it. */
  isHeard = false;
  readonly #control: Pick<ControlLink, 'tell'>;
  readonly #keys = new Set<string>();
  #timer: Cancel | null = null;

  constructor(control: Pick<ControlLink, 'tell'>) {
    this.#control = control;
  }

  add(key: string): void {
    this.#keys.add(key);
    if (this.#keys.size >= MOST) this.#tell();
    else this.#timer ??= systemTimers.after(GATHER_MS, () => this.#tell());
  }

  #tell(): void {
    this.#timer?.();
    this.#timer = null;
    if (this.#keys.size === 0) return;
    this.#control.tell(CACHE_GONE_TOPIC, [...this.#keys]);
    this.#keys.clear();
  }

  /** The worker ends. */
  close(): void {
    this.#tell();
  }
}

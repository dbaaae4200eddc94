/**
 * Configurations that were replaced while exchanges under them go on: a long download, an event stream, a tunnel. Their
 * policies stay until the last exchange ends. A route that is gone loses its slot at once, since control hands the slot
 * to another route after a while: exchanges still running on it are counted under "no route". Owned by the worker,
 * written only when a snapshot is swapped in and when a former configuration ends; the hot path reads nothing here.
 */
import type { Steps } from '../../base/slices.ts';
import type { ActiveConfig } from '../exchange/active-config.ts';

/** In metrics, what no route counts (base/metrics.ts). */
const NO_SLOT = 0;

export class DrainingConfigs {
  readonly #lives = new Set<ActiveConfig>();

  /** `next` has taken the place of `old`. */
  *retireSteps(old: ActiveConfig, next: ActiveConfig): Steps<void> {
    old.retired = true;
    if (old.active === 0) old.dispose();
    else this.#lives.add(old);
    if (this.#lives.size === 0) return;
    const slots = new Map<string, number>();
    for (const { settings } of next.routes) {
      slots.set(settings.id, settings.slot);
      yield;
    }
    // Those that end meanwhile are passed over.
    for (const live of this.#lives) {
      for (const route of live.routes) {
        const { id, slot } = route.settings;
        // One that went away and came back has another slot, and starts from zero in it.
        if (slot !== NO_SLOT && slots.get(id) !== slot) route.settings = { ...route.settings, slot: NO_SLOT };
        yield;
      }
    }
  }

  /** The last exchange under it has ended. */
  ended(live: ActiveConfig): void {
    this.#lives.delete(live);
  }
}

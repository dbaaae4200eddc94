/**
 * What nodes of a cluster tell each other of services in trouble: an instance that a probe found down, that was
 * ejected, whose breaker (or whose service's) opened. A hint keeps no request away: another node may reach what this
 * one does not. It makes the others look: they probe at once, and one more fault of their own suffices for an ejection,
 * unless a good response comes first. The first to see it sends it; the others send none for a while.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Cancel, Timers } from '../../base/system-timers.ts';
import type { InstanceSettings, ServiceSettings } from '../../data/contract/snapshot.ts';
import type { Fact, Facts } from '../facts.ts';

export type Trouble = 'down' | 'ejected' | 'breaker open';

/** The table over shared memory, or what a test hands in. */
export interface HintTable {
  troubleOf(instanceSlot: number): Trouble | null;
  isBreakerOpen(serviceSlot: number): boolean;
  /** Counts as so many faults in a row, unless there were more. */
  suspect(instanceSlot: number, faults: number): void;
}

export interface HintParts {
  readonly facts: Facts;
  readonly table: HintTable;
  readonly services: () => readonly ServiceSettings[];
  readonly probeNow: (instance: string) => void;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
}

const HINT_FACT = 'hint';
const LOOK_MS = 250;
/** Older ones say nothing about now. */
const HOLDS_MS = 30_000;
/** The same hint is not sent again for this long. */
const QUIET_MS = 5_000;
const MOST_QUIET = 10_000;

export class HealthHints {
  readonly #parts: HintParts;
  /** Trouble of each instance and service at the last look. */
  #before = new Map<string, Trouble | null>();
  /** Hints sent by any node, and until when (monotonic) they are not sent again. */
  readonly #quiet = new Map<string, { readonly untilMs: number; readonly isOwn: boolean }>();
  #cancel: Cancel = () => {};

  constructor(parts: HintParts) {
    this.#parts = parts;
    parts.facts.hear(HINT_FACT, { learn: (fact) => this.#learn(fact) });
    this.#schedule();
  }

  stop(): void {
    this.#cancel();
    this.#cancel = () => {};
  }

  #schedule(): void {
    this.#cancel = this.#parts.timers.after(LOOK_MS, () => {
      this.#look();
      this.#schedule();
    });
  }

  #look(): void {
    const { facts, table, services } = this.#parts;
    if (!facts.areShared) return;
    const now = new Map<string, Trouble | null>();
    for (const { name, slot, instances } of services()) {
      this.#note(now, name, '', table.isBreakerOpen(slot) ? 'breaker open' : null);
      for (const instance of instances) this.#note(now, name, instance.url, table.troubleOf(instance.slot));
    }
    this.#before = now;
  }

  #note(now: Map<string, Trouble | null>, service: string, url: string, trouble: Trouble | null): void {
    const key = `${service} ${url}`;
    now.set(key, trouble);
    // What is new here has its state from the configuration, not from a look of ours.
    const before = this.#before.get(key);
    if (trouble === null || before === undefined || before === trouble) return;
    const quiet = this.#quiet.get(key);
    if (quiet !== undefined && quiet.untilMs > this.#parts.clock.monotonicMs()) {
      // It comes and goes: if it is still so then, it is sent.
      if (quiet.isOwn) now.set(key, null);
      return;
    }
    this.#keepQuiet(key, true);
    void this.#parts.facts.tell(HINT_FACT, key, { service, url, trouble }, HOLDS_MS);
  }

  #keepQuiet(key: string, isOwn: boolean): void {
    if (this.#quiet.size >= MOST_QUIET) this.#quiet.clear();
    this.#quiet.set(key, { untilMs: this.#parts.clock.monotonicMs() + QUIET_MS, isOwn });
  }

  #learn({ key, value, ageMs, node }: Fact): void {
    if (ageMs > HOLDS_MS) return;
    const { service: name, url, trouble } = (value ?? {}) as Partial<Record<'service' | 'url' | 'trouble', unknown>>;
    const service = this.#parts.services().find((each) => each.name === name);
    if (service === undefined) return;
    this.#keepQuiet(key, false);
    const meant = service.instances.filter((instance) => url === '' || instance.url === url);
    for (const instance of meant) this.#suspect(service, instance);
    if (meant.length > 0)
      this.#parts.log.info('another node has trouble with a service', {
        service: service.name,
        url: String(url),
        trouble: String(trouble),
        node,
      });
  }

  #suspect({ resilience }: ServiceSettings, { id, slot }: InstanceSettings): void {
    this.#parts.probeNow(id);
    const faults = resilience.ejection?.consecutiveFaults ?? 0;
    if (faults > 1) this.#parts.table.suspect(slot, faults - 1);
  }
}

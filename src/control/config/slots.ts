/**
 * Hands out slots of shared memory (data/contract/shared.ts) to services, instances and routes. A thing keeps its slot
 * as long as its id stays, over any number of reloads. The slot of a thing that went away rests for one generation,
 * because workers may still serve the old snapshot with it, and is reused only after that, longest unused first. A
 * table is never changed: each compilation makes the next one, which counts only once its snapshot is published.
 */
import { MAX_INSTANCES, MAX_ROUTES, MAX_SERVICES } from '../../data/contract/shared.ts';

/** Slot 0 is "the rest" in metrics and is never given out. */
const FIRST_SLOT = 1;

export interface Assignment {
  readonly keeper: SlotKeeper;
  readonly slots: ReadonlyMap<string, number>;
  /** Slots that change their owner: what they hold is to be cleared before the snapshot is published. */
  readonly fresh: readonly number[];
}

/** What a keeper knows, as plain data. */
export interface SlotState {
  readonly taken: ReadonlyMap<string, number>;
  readonly free: readonly number[];
  readonly resting: readonly number[];
  readonly next: number;
}

/** Slots of one kind. */
export class SlotKeeper {
  readonly #most: number;
  readonly state: SlotState;

  constructor(most: number, state: SlotState = { taken: new Map(), free: [], resting: [], next: FIRST_SLOT }) {
    this.#most = most;
    this.state = state;
  }

  /** How many things can have a slot at one time. */
  get capacity(): number {
    return this.#most - FIRST_SLOT;
  }

  /** `ids` are distinct, and all that there are now. Undefined when they are more than there are slots. */
  assign(ids: readonly string[]): Assignment | undefined {
    if (ids.length > this.capacity) return undefined;
    const { state } = this;
    const slots = new Map<string, number>();
    const wanting: string[] = [];
    for (const id of ids) {
      const kept = state.taken.get(id);
      if (kept === undefined) wanting.push(id);
      else slots.set(id, kept);
    }
    const leaving = [...state.taken].filter(([id]) => !slots.has(id)).map(([, slot]) => slot);
    const free = [...state.free, ...state.resting];
    const fresh: number[] = [];
    let { next } = state;
    for (const id of wanting) {
      const slot = free.shift() ?? (next < this.#most ? next++ : leaving.shift());
      if (slot === undefined) return undefined;
      slots.set(id, slot);
      fresh.push(slot);
    }
    const keeper = new SlotKeeper(this.#most, { taken: slots, free, resting: leaving, next });
    return { keeper, slots, fresh };
  }
}

export interface SlotTable {
  readonly services: SlotKeeper;
  readonly instances: SlotKeeper;
  readonly routes: SlotKeeper;
}

export type SlotTableState = Readonly<Record<keyof SlotTable, SlotState>>;

export function slotTableState({ services, instances, routes }: SlotTable): SlotTableState {
  return { services: services.state, instances: instances.state, routes: routes.state };
}

/** Null for an empty one. */
export function slotTable(state: SlotTableState | null): SlotTable {
  return {
    services: new SlotKeeper(MAX_SERVICES, state?.services),
    instances: new SlotKeeper(MAX_INSTANCES, state?.instances),
    routes: new SlotKeeper(MAX_ROUTES, state?.routes),
  };
}

export function emptySlotTable(): SlotTable {
  return slotTable(null);
}

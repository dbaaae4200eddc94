/**
 * A coarse hashed timer wheel: one interval per thread serves the deadlines of every connection. Setting, moving
 * and clearing a deadline is a few field writes and allocates nothing, where `setTimeout` per request costs a timer
 * object and a heap operation each. Deadlines fire late by at most one tick (default 100 ms), never early.
 *
 *   slots:  [0] [1] [2] ... [511]      each a doubly linked list of Deadline nodes
 *                ^ cursor              a node whose due tick is still in the future goes round again
 *
 * Moving a deadline later, the common case (every byte of a body does it), only writes `dueTick`; the node is
 * put in its new slot when the wheel comes by its old one. Clearing one writes `dueTick` too and leaves the node where
 * it is, for the next `set`; a holder that goes away calls `remove`. Owner: one thread; the node belongs to its holder.
 */
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';

const SLOTS = 512;
/** A turn that is later than this is one after a stall. */
const LATE_MS = 100;

/** What happens when a deadline passes. One object can own several deadlines and tell them apart by `kind`. */
export interface DeadlineOwner {
  onDeadline(kind: number): void;
}

/** One deadline that can be set again and again; create it once with its owner. */
export class Deadline {
  readonly owner: DeadlineOwner;
  readonly kind: number;
  /** @internal */ dueTick = -1;
  /** @internal slot the node is linked in, -1 when it is in none */ slot = -1;
  /** @internal when the wheel comes by that slot */ visitTick = -1;
  /** @internal */ previous: Deadline | null = null;
  /** @internal */ next: Deadline | null = null;

  constructor(owner: DeadlineOwner, kind: number) {
    this.owner = owner;
    this.kind = kind;
  }

  get isSet(): boolean {
    return this.dueTick >= 0;
  }
}

export class TimerWheel {
  readonly tickMs: number;
  readonly #clock: Clock;
  readonly #heads: (Deadline | null)[] = new Array<Deadline | null>(SLOTS).fill(null);
  readonly #startMs: number;
  readonly #turnsWhenNeeded: boolean;
  /** Nodes that are linked. */
  #linked = 0;
  #tick = 0;
  #interval: NodeJS.Timeout | undefined;

  /** `turnsWhenNeeded`: no `start` is asked for; it turns by itself while something is set, and sleeps otherwise. */
  constructor(tickMs = 100, clock: Clock = systemClock, turnsWhenNeeded = false) {
    this.#turnsWhenNeeded = turnsWhenNeeded;
    this.tickMs = tickMs;
    this.#clock = clock;
    this.#startMs = clock.monotonicMs();
  }

  /** Runs the wheel by itself. It never keeps the process alive. */
  start(): void {
    this.#interval ??= setInterval(() => this.#turnWhenRead(), this.tickMs).unref();
  }

  /**
   * After a stall of the thread much of what deadlines wait for lies in the sockets: it is read first, so that a peer
   * is not blamed for our own pause.
   */
  #turnWhenRead(): void {
    const lateMs = this.#clock.monotonicMs() - this.coarseMs - this.tickMs;
    if (lateMs < Math.max(LATE_MS, this.tickMs)) this.turn();
    else setImmediate(() => this.turn());
  }

  stop(): void {
    clearInterval(this.#interval);
    this.#interval = undefined;
  }

  /** The clock's time at the latest turn: up to one tick old, more while a long callback runs; costs nothing. */
  get coarseMs(): number {
    return this.#startMs + this.#tick * this.tickMs;
  }

  /**
   * Sets or moves a deadline; it fires once, between `ms` and `ms` plus one tick from now. `nowMs` is the clock's time
   * where the caller has just read it.
   */
  set(deadline: Deadline, ms: number, nowMs = this.#clock.monotonicMs()): void {
    // The wheel's own tick may lag behind the clock while a long callback runs, so the due tick is reckoned from the
    // clock.
    const due = Math.ceil((nowMs - this.#startMs + ms) / this.tickMs);
    const tick = due > this.#tick ? due : this.#tick + 1;
    deadline.dueTick = tick;
    if (deadline.slot >= 0) {
      if (tick >= deadline.visitTick) return; // moved when its old slot comes by
      this.#unlink(deadline);
    }
    this.#link(deadline);
  }

  /** It does not fire, unless it is set again. */
  clear(deadline: Deadline): void {
    deadline.dueTick = -1;
  }

  /** Clears it and drops the reference, so that the wheel does not keep its owner alive until its slot is due. */
  remove(deadline: Deadline): void {
    deadline.dueTick = -1;
    if (deadline.slot >= 0) this.#unlink(deadline);
  }

  /** Fires what is due. Public so that tests and simulations turn the wheel with a fake clock. */
  turn(): void {
    const now = Math.floor((this.#clock.monotonicMs() - this.#startMs) / this.tickMs);
    // After a long stall every slot needs one visit only, however many rounds went by.
    if (now - this.#tick > SLOTS) this.#tick = now - SLOTS;
    while (this.#tick < now) {
      this.#tick++;
      this.#fireSlot(this.#tick % SLOTS);
    }
    if (this.#turnsWhenNeeded && this.#linked === 0) this.stop();
  }

  #fireSlot(slot: number): void {
    let node = this.#heads[slot] ?? null;
    this.#heads[slot] = null;
    // The whole list is detached first: what a callback sets anew lands in a list of its own.
    for (let detached = node; detached !== null; detached = detached.next) detached.slot = SLOTS;
    while (node !== null) {
      const following: Deadline | null = node.next;
      if (following !== null) following.previous = null;
      node.previous = null;
      node.next = null;
      node.slot = -1;
      this.#linked--;
      if (node.dueTick > this.#tick) {
        this.#link(node);
      } else if (node.dueTick >= 0) {
        node.dueTick = -1;
        // A callback may clear `following`, so it is re-read through a sentinel that stays linked to it.
        this.#pending.next = following;
        if (following !== null) following.previous = this.#pending;
        node.owner.onDeadline(node.kind);
        node = this.#pending.next;
        this.#pending.next = null;
        if (node !== null) node.previous = null;
        continue;
      }
      node = following;
    }
  }

  readonly #pending = new Deadline({ onDeadline: () => {} }, 0);

  #link(node: Deadline): void {
    if (node.slot !== -1) throw new Error('a deadline that is linked twice');
    const slot = node.dueTick % SLOTS;
    node.visitTick = node.dueTick;
    const head = this.#heads[slot] ?? null;
    node.slot = slot;
    node.previous = null;
    node.next = head;
    if (head !== null) head.previous = node;
    this.#heads[slot] = node;
    if (++this.#linked === 1 && this.#turnsWhenNeeded) this.#wake();
  }

  /** While it slept nothing was set, so nothing is due in the ticks that went by. */
  #wake(): void {
    if (this.#interval === undefined) this.start();
  }

  #unlink(node: Deadline): void {
    if (node.previous !== null) node.previous.next = node.next;
    else if (node.slot < SLOTS) this.#heads[node.slot] = node.next;
    if (node.next !== null) node.next.previous = node.previous;
    node.previous = null;
    node.next = null;
    node.slot = -1;
    this.#linked--;
  }
}

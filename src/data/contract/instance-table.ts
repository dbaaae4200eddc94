/**
 * The shared table of services and instances: who is in flight where, who is healthy, ejected or draining, and the
 * words of breakers, windows and budgets (data/balancer owns their meaning). Control allocates it once, writes health
 * and reads state; workers count. Everything is lock-free on Int32 words; nothing here waits or allocates per request.
 *
 * Times are ticks of 10 ms since the start stored in the buffer. They wrap after 497 days, so they are only compared
 * by signed difference, and a past time that must hold for ever is a bit, not a time.
 *
 * In flight is kept twice: one word that all workers add to, which limits and balancers read, and each worker's own
 * share, so that the share of a worker that died can be taken back (`clearWorker`). Both writes are straight-line
 * code, in which a thread cannot be stopped from outside: the engine looks for that at function entries and loops only.
 */
import type { Clock } from '../../base/clock.ts';
import { systemClock } from '../../base/clock.ts';
import {
  BANK,
  bankAt,
  DOWN,
  DRAINING,
  EJECTED,
  INSTANCE,
  instanceAt,
  MAGIC,
  MAGIC_AT,
  SERVICE,
  START_FLOAT_AT,
  serviceAt,
  TABLE_BYTES,
} from './instance-layout.ts';
import { MAX_INSTANCES, MAX_SERVICES, MAX_WORKERS } from './shared.ts';
import type { InstanceSettings, ServiceSettings } from './snapshot.ts';

export const TICK_MS = 10;
/** Ticks do not begin at 0, so that 0 can mean "never". */
const FIRST_TICK_MS = 60_000;

/** Memory for one process: allocate once, hand to every worker as `SharedState.instances`. */
export function createInstanceTable(): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(TABLE_BYTES);
  new Int32Array(buffer)[MAGIC_AT] = MAGIC;
  new Float64Array(buffer, 0, 2)[START_FLOAT_AT] = processMonotonicMs();
  return buffer;
}

/** The same in every thread; `performance.now()` may start anew in each. */
function processMonotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export class InstanceTable {
  readonly words: Int32Array;
  readonly #clock: Clock;
  /** Added to the clock's time: milliseconds since the start in the buffer, plus the first tick. */
  readonly #offsetMs: number;

  /** A clock other than the system's is taken to count from the start of the table; it must be one for all users. */
  constructor(buffer: SharedArrayBuffer, clock: Clock = systemClock) {
    if (buffer.byteLength !== TABLE_BYTES) throw new TypeError('this is not an instance table');
    this.words = new Int32Array(buffer);
    if (this.words[MAGIC_AT] !== MAGIC) throw new TypeError('this is not an instance table');
    this.#clock = clock;
    const startMs = new Float64Array(buffer, 0, 2)[START_FLOAT_AT] ?? 0;
    const sinceStartMs = clock === systemClock ? processMonotonicMs() - startMs - clock.monotonicMs() : 0;
    this.#offsetMs = sinceStartMs + FIRST_TICK_MS;
  }

  nowTick(): number {
    return this.tickOf(this.#clock.monotonicMs());
  }

  /** Tick of a time of the clock that the table was made with. Never 0. */
  tickOf(monotonicMs: number): number {
    return ((monotonicMs + this.#offsetMs) / TICK_MS) | 0 || 1;
  }

  // --- slots and their owners -----------------------------------------------------------------------------------

  /**
   * Makes the records of a service and its instances theirs: a slot that belonged to another id, or to none, loses
   * its old state, one that is already theirs keeps it. Control calls it before it publishes a snapshot and before it
   * writes health; workers call it again, which then changes nothing. `slowStart`: newcomers begin gently.
   */
  claim(service: ServiceSettings, slowStart: boolean): void {
    const at = serviceAt(checkedSlot(service.slot, MAX_SERVICES, service.name));
    if (this.#take(at + SERVICE.tag, hashOf(service.name))) {
      for (let word: number = SERVICE.breakerWord; word < SERVICE.size; word++) Atomics.store(this.words, at + word, 0);
    }
    for (const instance of service.instances) this.#claimInstance(instance, service.slot, slowStart);
    this.touch(service.slot);
  }

  #claimInstance(instance: InstanceSettings, serviceSlot: number, slowStart: boolean): void {
    const at = instanceAt(checkedSlot(instance.slot, MAX_INSTANCES, instance.id));
    // Configured health is part of the identity: when it is changed by hand, what was learnt before does not count.
    const isNew = this.#take(at + INSTANCE.tag, hashOf(instance.id) ^ (instance.healthy ? 0 : 1));
    Atomics.store(this.words, at + INSTANCE.service, serviceSlot);
    if (!isNew) return;
    // In flight stays: requests to the former owner of the slot still end, and are taken off then.
    for (let word: number = INSTANCE.consecutiveFaults; word < INSTANCE.size; word++) {
      if (word !== INSTANCE.tag && word !== INSTANCE.service) Atomics.store(this.words, at + word, 0);
    }
    Atomics.store(this.words, at + INSTANCE.health, instance.healthy ? 0 : DOWN);
    if (slowStart && instance.healthy) Atomics.store(this.words, at + INSTANCE.recoveredAt, this.nowTick());
  }

  /** True for the one caller who changes the tag. */
  #take(tagAt: number, tag: number): boolean {
    return Atomics.load(this.words, tagAt) !== tag && Atomics.exchange(this.words, tagAt, tag) !== tag;
  }

  /** Tells every worker that its list of usable instances is stale. */
  touch(serviceSlot: number): void {
    Atomics.add(this.words, serviceAt(serviceSlot) + SERVICE.version, 1);
  }

  // --- health, written by control -------------------------------------------------------------------------------

  /** What the prober found. An instance that comes back begins its slow start. */
  setHealthy(instanceSlot: number, healthy: boolean): void {
    const at = instanceAt(instanceSlot);
    if (healthy) {
      const before = Atomics.and(this.words, at + INSTANCE.health, ~DOWN);
      if ((before & DOWN) === 0) return;
      Atomics.store(this.words, at + INSTANCE.consecutiveFaults, 0);
      Atomics.store(this.words, at + INSTANCE.recoveredAt, this.nowTick());
    } else if ((Atomics.or(this.words, at + INSTANCE.health, DOWN) & DOWN) !== 0) {
      return;
    }
    this.touch(Atomics.load(this.words, at + INSTANCE.service));
  }

  /** A draining instance gets no new requests, not even of its sticky callers. */
  setDraining(instanceSlot: number, draining: boolean): void {
    const at = instanceAt(instanceSlot);
    const before = draining
      ? Atomics.or(this.words, at + INSTANCE.health, DRAINING)
      : Atomics.and(this.words, at + INSTANCE.health, ~DRAINING);
    if (((before & DRAINING) !== 0) !== draining) this.touch(Atomics.load(this.words, at + INSTANCE.service));
  }

  // --- hints of other nodes, read and written by control ---------------------------------------------------------

  /** Why no request goes to the instance at the moment, or null. */
  troubleOf(instanceSlot: number): 'down' | 'ejected' | 'breaker open' | null {
    const at = instanceAt(instanceSlot);
    const health = Atomics.load(this.words, at + INSTANCE.health);
    if ((health & DOWN) !== 0) return 'down';
    if ((health & EJECTED) !== 0) return 'ejected';
    return isOpen(Atomics.load(this.words, at + INSTANCE.breakerWord)) ? 'breaker open' : null;
  }

  isBreakerOpen(serviceSlot: number): boolean {
    return isOpen(Atomics.load(this.words, serviceAt(serviceSlot) + SERVICE.breakerWord));
  }

  /** Counts as so many faults in a row, unless there were more; a good response forgets them. */
  suspect(instanceSlot: number, faults: number): void {
    const at = instanceAt(instanceSlot) + INSTANCE.consecutiveFaults;
    for (let before = Atomics.load(this.words, at); before < faults; ) {
      const found = Atomics.compareExchange(this.words, at, before, faults);
      if (found === before) return;
      before = found;
    }
  }

  // --- in flight, written by workers ----------------------------------------------------------------------------

  /** Counts one more, unless `max` (0: no limit) are in flight already. Exact over all workers. */
  enterService(slot: number, worker: number, max: number): boolean {
    return this.#enter(serviceAt(slot) + SERVICE.inFlight, bankAt(worker) + BANK.services + slot, max);
  }

  leaveService(slot: number, worker: number): void {
    this.#leave(serviceAt(slot) + SERVICE.inFlight, bankAt(worker) + BANK.services + slot);
  }

  enterInstance(slot: number, worker: number, max: number): boolean {
    return this.#enter(instanceAt(slot) + INSTANCE.inFlight, bankAt(worker) + BANK.instances + slot, max);
  }

  leaveInstance(slot: number, worker: number): void {
    this.#leave(instanceAt(slot) + INSTANCE.inFlight, bankAt(worker) + BANK.instances + slot);
  }

  /** Requests that wait for the service, over all workers. */
  addWaiting(slot: number, worker: number, change: 1 | -1): void {
    const own = bankAt(worker) + BANK.waiting + slot;
    Atomics.add(this.words, serviceAt(slot) + SERVICE.waiting, change);
    this.words[own] = this.words[own]! + change;
  }

  #enter(at: number, own: number, max: number): boolean {
    if (Atomics.add(this.words, at, 1) >= max && max > 0) {
      Atomics.sub(this.words, at, 1);
      return false;
    }
    this.words[own] = this.words[own]! + 1; // only its worker writes it
    return true;
  }

  #leave(at: number, own: number): void {
    Atomics.sub(this.words, at, 1);
    this.words[own] = this.words[own]! - 1;
  }

  /**
   * Takes back what a worker that has ended still held. Control calls it after the worker's `exit`, before it starts
   * another with the index.
   */
  clearWorker(worker: number): void {
    if (!(worker >= 0 && worker < MAX_WORKERS)) throw new RangeError(`there is no worker ${worker}`);
    const bank = bankAt(worker);
    for (let slot = 0; slot < MAX_INSTANCES; slot++) {
      this.#giveBack(bank + BANK.instances + slot, instanceAt(slot) + INSTANCE.inFlight);
    }
    for (let slot = 0; slot < MAX_SERVICES; slot++) {
      this.#giveBack(bank + BANK.services + slot, serviceAt(slot) + SERVICE.inFlight);
      this.#giveBack(bank + BANK.waiting + slot, serviceAt(slot) + SERVICE.waiting);
    }
  }

  #giveBack(own: number, total: number): void {
    const held = Atomics.exchange(this.words, own, 0);
    if (held !== 0) Atomics.sub(this.words, total, held);
  }

  // --- reading --------------------------------------------------------------------------------------------------

  instanceInFlight(slot: number): number {
    return Atomics.load(this.words, instanceAt(slot) + INSTANCE.inFlight);
  }

  serviceInFlight(slot: number): number {
    return Atomics.load(this.words, serviceAt(slot) + SERVICE.inFlight);
  }

  serviceWaiting(slot: number): number {
    return Atomics.load(this.words, serviceAt(slot) + SERVICE.waiting);
  }
}

/** The state of a breaker is in the lowest two bits of its word (data/resilience/breaker.ts). */
function isOpen(breakerWord: number): boolean {
  return (breakerWord & 3) === 1;
}

function checkedSlot(slot: number, end: number, name: string): number {
  if (!(Number.isInteger(slot) && slot >= 0 && slot < end)) throw new RangeError(`"${name}" has no slot in the table`);
  return slot;
}

/** FNV-1a; 0 is left to mean "none". */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 2;
}

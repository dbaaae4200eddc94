/**
 * A small world for simulation.test.ts: callers who arrive at random, workers with a real `Service` each on one shared
 * table, and instances with places, queues and scripted faults. Time is a queue of events on a fake clock, so a minute
 * takes a fraction of a second and every run is the same. Exchanges do what the engine does: pick, attempt, retry,
 * hedge.
 */
import { FakeClock } from '../../base/clock.ts';
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS, Fault } from '../../base/errors.ts';
import { createLogger } from '../../base/log.ts';
import { createInstanceTable, InstanceTable } from '../contract/instance-table.ts';
import type { ServiceSettings } from '../contract/snapshot.ts';
import type { StateChange } from '../resilience/environment.ts';
import { balancerFinder } from './algorithms/custom.ts';
import { REQUEST, seeded } from './fixtures.suite.ts';
import type { AttemptWaiter, Endpoint, RetryRequest } from './service.ts';
import { Service } from './service.ts';

/** What an instance does with a request that it takes up now. */
export type Behaviour =
  /** After `ms` on average: evenly between half and one and a half of it, or with a long tail (exponential). */
  | { readonly kind: 'answer'; readonly status: number; readonly ms: number; readonly longTail?: boolean }
  | { readonly kind: 'refuse' }
  | { readonly kind: 'reset'; readonly ms: number }
  | { readonly kind: 'hang' };

export const OK: Behaviour = { kind: 'answer', status: 200, ms: 20 };

export interface Scenario {
  readonly settings: ServiceSettings;
  /** Requests per second. */
  readonly rate: number;
  readonly seconds: number;
  /** What the instance of a slot does at a time. Default: always `OK`. */
  behave?(slot: number, ms: number): Behaviour;
  /** Requests that each instance works on at once; further ones queue up in it. Default: any number. */
  readonly places?: number;
  readonly workers?: number;
  /** Share of requests that are POST. Default 0.2. */
  readonly postShare?: number;
}

/** What happened in one second of arrivals (callers' view) or of sending (attempts). */
export interface Second {
  arrived: number;
  good: number;
  /** First attempts, and retries with hedges, by the time at which they were allowed. */
  first: number;
  further: number;
}

export class Outcome {
  readonly seconds: Second[] = [];
  readonly changes: StateChange[] = [];
  readonly latencies: { atMs: number; ms: number }[] = [];
  /** Requests that ended otherwise than well, by method and reason. */
  readonly lost = new Map<string, number>();
  /** Attempts by slot and second. */
  readonly bySlot = new Map<number, number[]>();

  second(ms: number): Second {
    const at = Math.floor(ms / 1_000);
    while (this.seconds.length <= at) this.seconds.push({ arrived: 0, good: 0, first: 0, further: 0 });
    return this.seconds[at]!;
  }

  sum(field: keyof Second, from = 0, to = this.seconds.length): number {
    return this.seconds.slice(from, to).reduce((sum, second) => sum + second[field], 0);
  }

  lostOf(method: string): number {
    return [...this.lost].reduce((sum, [key, count]) => sum + (key.startsWith(`${method} `) ? count : 0), 0);
  }

  /** What the upstream got, as a multiple of what the callers asked for. */
  load(from = 0, to = this.seconds.length): number {
    const attempts = this.sum('first', from, to) + this.sum('further', from, to);
    return attempts / Math.max(1, this.sum('arrived', from, to));
  }

  /** That load in the worst ten seconds, of those in which requests arrived. */
  worstLoad(seconds: number): number {
    let worst = 0;
    for (let from = 0; from + 10 <= seconds; from++) worst = Math.max(worst, this.load(from, from + 10));
    return worst;
  }

  /**
   * Of all seconds in which something was retried: by how many attempts, at most, retries and hedges of the ten seconds
   * up to then were above what the budget allows. 0 or less is within it.
   */
  overBudget(ratio: number, minPerSecond: number): number {
    let worst = Number.NEGATIVE_INFINITY;
    for (let to = 1; to <= this.seconds.length; to++) {
      if (this.seconds[to - 1]!.further === 0) continue;
      const from = Math.max(0, to - 10);
      worst = Math.max(worst, this.sum('further', from, to) - ratio * this.sum('first', from, to) - minPerSecond * 10);
    }
    return worst;
  }

  /** Seconds after the given one until, from then on, all who arrive are served well. */
  recoverySeconds(after: number): number {
    let last = after - 1;
    for (const [at, { arrived, good }] of this.seconds.entries()) if (at >= after && good < arrived) last = at;
    return last + 1 - after;
  }

  /** Latency that a share of the good answers did not exceed, of those that arrived in the seconds given. */
  latency(share: number, from: number, to: number): number {
    const sorted = this.latencies
      .filter(({ atMs }) => atMs >= from * 1_000 && atMs < to * 1_000)
      .map(({ ms }) => ms)
      .sort((a, b) => a - b);
    return sorted[Math.floor(share * sorted.length)] ?? 0;
  }

  attempts(slot: number, from: number, to: number): number {
    return (this.bySlot.get(slot) ?? []).slice(from, to).reduce((sum, count) => sum + (count ?? 0), 0);
  }
}

export function simulate(scenario: Scenario): Outcome {
  const world = new World(scenario);
  world.run();
  return world.outcome;
}

class World {
  readonly scenario: Scenario;
  readonly clock = new FakeClock();
  readonly random = seeded(2026);
  readonly outcome = new Outcome();
  readonly services: Service<Upstream>[];
  readonly #upstreams = new Map<string, Upstream>();
  readonly #events = new Events();

  constructor(scenario: Scenario) {
    this.scenario = scenario;
    const buffer = createInstanceTable();
    new InstanceTable(buffer, this.clock).claim(scenario.settings, false);
    this.services = Array.from({ length: scenario.workers ?? 2 }, (_, workerIndex) => {
      return new Service<Upstream>(scenario.settings, {
        clock: this.clock,
        random: this.random,
        shared: { instances: buffer },
        secrets: {},
        log: createLogger('silent'),
        makePool: ({ id, slot }) => {
          const upstream = this.#upstreams.get(id) ?? new Upstream(this, slot);
          this.#upstreams.set(id, upstream);
          return upstream;
        },
        disposePool: () => {},
        findBalancer: balancerFinder(),
        onStateChange: (change) => this.outcome.changes.push(change),
        workerIndex,
        schedule: (task, ms) => this.in(ms, task),
      });
    });
  }

  get nowMs(): number {
    return this.clock.monotonicMs();
  }

  /** Returns the way to prevent it. */
  in(ms: number, task: () => void): () => void {
    return this.#events.add(this.nowMs + ms, task);
  }

  run(): void {
    const { rate, seconds } = this.scenario;
    const arrive = (): void => {
      if (this.nowMs >= seconds * 1_000) return;
      const service = this.services[Math.floor(this.random() * this.services.length)]!;
      new Exchange(this, service, this.random() < (this.scenario.postShare ?? 0.2) ? 'POST' : 'GET').start();
      this.in((-Math.log(1 - this.random()) * 1_000) / rate, arrive);
    };
    this.in(0, arrive);
    for (let next = this.#events.take(); next !== undefined; next = this.#events.take()) {
      this.clock.advance(next.at - this.nowMs);
      next.task();
    }
  }
}

/** One instance: works on so many requests at once and queues the others, as a real one does, even those given up. */
class Upstream {
  readonly #world: World;
  readonly #slot: number;
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(world: World, slot: number) {
    this.#world = world;
    this.#slot = slot;
  }

  take(attempt: Attempt): void {
    const { outcome, nowMs } = this.#world;
    const counts = outcome.bySlot.get(this.#slot) ?? [];
    const second = Math.floor(nowMs / 1_000);
    counts[second] = (counts[second] ?? 0) + 1;
    outcome.bySlot.set(this.#slot, counts);
    if (this.#behaviour().kind === 'refuse') {
      this.#world.in(1, () => attempt.end(0, FAULTS.connectRefused));
    } else if (this.#busy < (this.#world.scenario.places ?? Number.POSITIVE_INFINITY)) {
      this.#work(attempt);
    } else {
      this.#waiting.push(() => this.#work(attempt));
    }
  }

  #behaviour(): Behaviour {
    return this.#world.scenario.behave?.(this.#slot, this.#world.nowMs) ?? OK;
  }

  #work(attempt: Attempt): void {
    const behaviour = this.#behaviour();
    if (behaviour.kind === 'hang') return; // the attempt's own timeout ends it
    if (behaviour.kind === 'refuse') {
      attempt.end(0, FAULTS.upstreamReset); // it was waiting in an instance that has gone since
      return;
    }
    this.#busy++;
    const draw = this.#world.random();
    const isLong = behaviour.kind === 'answer' && behaviour.longTail === true;
    this.#world.in(behaviour.ms * (isLong ? -Math.log(1 - draw) : 0.5 + draw), () => {
      this.#busy--;
      // Those who wait in the instance come before what the end of this one brings.
      this.#waiting.shift()?.();
      if (behaviour.kind === 'reset') attempt.end(0, FAULTS.upstreamReset);
      else attempt.end(behaviour.status, null);
    });
  }
}

class Attempt {
  readonly endpoint: Endpoint<Upstream>;
  readonly startMs: number;
  readonly #exchange: Exchange;
  isOver = false;

  constructor(exchange: Exchange, endpoint: Endpoint<Upstream>) {
    this.#exchange = exchange;
    this.endpoint = endpoint;
    this.startMs = exchange.world.nowMs;
    endpoint.pool.take(this);
    const { perTryMs } = exchange.service.settings.retries;
    const limitMs = perTryMs || exchange.service.settings.timeouts.firstByteMs;
    if (!this.isOver) exchange.world.in(limitMs, () => this.end(0, FAULTS.firstByteTimeout));
  }

  end(status: number, fault: FaultKind | null): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#exchange.onAttemptEnd(this, status, fault);
  }
}

class Exchange implements AttemptWaiter {
  readonly world: World;
  readonly service: Service<Upstream>;
  readonly #request: RetryRequest;
  readonly #arrivedMs: number;
  #tried: Endpoint<Upstream>[] = [];
  #running: Attempt[] = [];
  #attemptsMade = 0;
  #isDone = false;

  constructor(world: World, service: Service<Upstream>, method: string) {
    this.world = world;
    this.service = service;
    this.#request = { method, hasIdempotencyKey: false, bodyReplayable: true };
    this.#arrivedMs = world.nowMs;
    world.outcome.second(world.nowMs).arrived++;
  }

  start(): void {
    const picked = this.service.pick(REQUEST, this.#tried, this);
    if (picked === 'wait') return;
    if (picked instanceof Fault) {
      this.#lose(picked.kind);
      return;
    }
    if (this.#tried.length === 0) this.world.outcome.second(this.world.nowMs).first++;
    this.#send(picked);
    const delayMs = this.#attemptsMade === 1 ? this.service.hedgeDelayMs(this.#request) : -1;
    if (delayMs >= 0) this.world.in(delayMs, () => this.#hedge());
  }

  onAdmitted(): void {
    this.start();
  }

  onRefused(fault: Fault): void {
    this.#lose(fault.kind);
  }

  #send(endpoint: Endpoint<Upstream>): void {
    this.#attemptsMade++;
    this.#running.push(new Attempt(this, endpoint));
  }

  #hedge(): void {
    const [first] = this.#running;
    if (this.#isDone || first === undefined || this.#running.length > 1 || !this.service.takeHedge()) return;
    this.world.outcome.second(this.world.nowMs).further++;
    const picked = this.service.pick(REQUEST, [first.endpoint], this);
    if (picked === 'wait') this.service.cancelWait(this);
    else if (!(picked instanceof Fault)) this.#send(picked);
  }

  onAttemptEnd(attempt: Attempt, status: number, fault: FaultKind | null): void {
    const { outcome, nowMs } = this.world;
    this.#running = this.#running.filter((other) => other !== attempt);
    const isGood = fault === null && status < 500;
    const alone = this.#running.length === 0;
    const delayMs =
      isGood || !alone ? -1 : this.service.retryDelayMs(this.#request, this.#attemptsMade, fault, status, false, -1);
    this.service.finish(attempt.endpoint, status, fault, nowMs - attempt.startMs, false);
    if (isGood) {
      this.#isDone = true;
      outcome.second(this.#arrivedMs).good++;
      outcome.latencies.push({ atMs: this.#arrivedMs, ms: nowMs - this.#arrivedMs });
      for (const loser of this.#running) {
        loser.isOver = true;
        this.service.finish(loser.endpoint, 0, null, nowMs - loser.startMs, true);
      }
    } else if (delayMs >= 0) {
      outcome.second(nowMs).further++;
      this.#tried = [...this.#tried, attempt.endpoint];
      this.world.in(delayMs, () => this.start());
    } else if (alone) {
      this.#lose(fault, status);
    }
  }

  #lose(fault: FaultKind | null, status = 0): void {
    this.#isDone = true;
    const key = `${this.#request.method} ${fault?.reason ?? status}`;
    this.world.outcome.lost.set(key, (this.world.outcome.lost.get(key) ?? 0) + 1);
  }
}

interface Event {
  readonly at: number;
  readonly order: number;
  task: () => void;
}

/** Events by time, those of one time in the order in which they were added: a binary heap. */
class Events {
  readonly #heap: Event[] = [];
  #count = 0;

  add(at: number, task: () => void): () => void {
    const event: Event = { at, order: this.#count++, task };
    this.#heap.push(event);
    let i = this.#heap.length - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!isBefore(this.#heap[i]!, this.#heap[parent]!)) break;
      this.#swap(i, parent);
      i = parent;
    }
    return () => {
      event.task = () => {};
    };
  }

  take(): Event | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (first === undefined || last === undefined || this.#heap.length === 0) return first;
    this.#heap[0] = last;
    for (let i = 0; ; ) {
      const left = 2 * i + 1;
      if (left >= this.#heap.length) return first;
      const right = left + 1;
      const least = right < this.#heap.length && isBefore(this.#heap[right]!, this.#heap[left]!) ? right : left;
      if (!isBefore(this.#heap[least]!, this.#heap[i]!)) return first;
      this.#swap(i, least);
      i = least;
    }
  }

  #swap(a: number, b: number): void {
    const held = this.#heap[a]!;
    this.#heap[a] = this.#heap[b]!;
    this.#heap[b] = held;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

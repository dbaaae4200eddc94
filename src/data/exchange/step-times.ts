/**
 * What each step of one exchange took: policies, picking an instance, connecting, sending, waiting for the response.
 * Made for the requests that an operator tries, and for no others (contract/tries.ts); it hears of attempts and parts
 * in place of the trace, and passes everything on to it. Begun by exchange.ts, ended by report.ts.
 */
import type { FaultKind } from '../../base/errors.ts';
import type { Phase } from '../../base/vocabulary.ts';
import type { FieldWriter } from '../contract/field-writer.ts';
import type { ControlLink } from '../contract/policy.ts';
import {
  TRIED_TOPIC,
  TRIES_KNOWN_TOPIC,
  TRIES_TOPIC,
  type TriedStep,
  type TriedSteps,
  type TriesOrder,
} from '../contract/tries.ts';
import type { ExchangeObserver, ExchangeTrace, PartObserver, TracedAttempt } from '../trace/exchange-trace.ts';

/** A composition may have many parts, each with its retries. */
const MOST_STEPS = 256;

export class StepTimes implements ExchangeObserver {
  readonly #startedMs: number;
  readonly #trace: ExchangeTrace | null;
  readonly #steps: TriedStep[] = [];
  /** Since when the response goes to the client; below 0: it does not yet. */
  #respondsSinceMs = -1;
  #respondedMs = 0;

  constructor(startedMs: number, trace: ExchangeTrace | null) {
    this.#startedMs = startedMs;
    this.#trace = trace;
  }

  /** Times are those of the worker's clock. `failed` is empty where it did not fail. */
  add(phase: Phase, name: string, startMs: number, endMs: number, failed = ''): void {
    if (this.#steps.length >= MOST_STEPS) return;
    this.#steps.push({ phase, name, startMs: startMs - this.#startedMs, ms: Math.max(0, endMs - startMs), failed });
  }

  send(out: FieldWriter, attempt: TracedAttempt): void {
    this.#trace?.send(out, attempt);
  }

  attemptEnd(attempt: TracedAttempt, fault: FaultKind | null, isAbandoned: boolean, nowMs: number): void {
    this.#trace?.attemptEnd(attempt, fault, isAbandoned, nowMs);
    // Behind policies, in a queue, between two attempts.
    const sinceMs = this.#lastEndBefore(attempt.startedMs);
    this.add('pick', attempt.service.settings.name, sinceMs, attempt.startedMs);
    this.addAttempt(attempt.endpoint.settings.id, attempt, fault, isAbandoned, nowMs);
  }

  #lastEndBefore(ms: number): number {
    const ends = this.#steps.map((step) => this.#startedMs + step.startMs + step.ms);
    return Math.max(this.#startedMs, ...ends.filter((end) => end <= ms));
  }

  /**
   * Connecting, sending and waiting; what was not reached is left out. Returns when the head was there, or it failed.
   */
  addAttempt(
    name: string,
    attempt: TracedAttempt,
    fault: FaultKind | null,
    isAbandoned: boolean,
    nowMs: number,
  ): number {
    const { startedMs, connectMs, sendMs, firstByteMs, reusedConnection } = attempt;
    const failed = isAbandoned ? 'given up' : (fault?.reason ?? '');
    const failedIn = failed === '' || firstByteMs > 0 ? null : (fault?.phase ?? 'upstreamHead');
    if (failedIn === 'connect') {
      this.add('connect', name, startedMs, nowMs, failed);
      return nowMs;
    }
    const readyMs = startedMs + connectMs;
    this.add('connect', reusedConnection ? `${name}, a connection that was there` : name, startedMs, readyMs);
    if (failedIn === 'send') {
      this.add('send', name, readyMs, nowMs, failed);
      return nowMs;
    }
    const sentMs = readyMs + sendMs;
    this.add('send', name, readyMs, sentMs);
    const headMs = firstByteMs > 0 ? Math.max(sentMs, startedMs + firstByteMs) : nowMs;
    this.add('upstreamHead', name, sentMs, headMs, failedIn === null ? '' : failed);
    return headMs;
  }

  part(): PartObserver {
    return new StepPart(this, this.#trace?.part() ?? null);
  }

  /** Policies decorate the response now, then it is sent. */
  responds(nowMs: number): void {
    this.#respondsSinceMs = nowMs;
  }

  /** The response is through, or nothing more of it will go: `finish` begins. */
  responded(nowMs: number): void {
    this.#respondedMs = nowMs;
  }

  /** The exchange is over. */
  end(failed: string): readonly TriedStep[] {
    const sinceMs = this.#respondsSinceMs;
    if (sinceMs >= 0) {
      const decorated = this.#steps.findLast(({ phase }) => phase === 'responseHead');
      const headMs = decorated === undefined ? sinceMs : this.#startedMs + decorated.startMs + decorated.ms;
      // What a route does by itself, such as looking into the cache, ends here too.
      this.add('responseHead', '', this.#lastEndBefore(sinceMs), sinceMs);
      this.add('responseBody', '', headMs, this.#respondedMs, failed);
    }
    return this.#steps.sort((a, b) => a.startMs - b.startMs);
  }
}

interface EndedAttempt {
  readonly attempt: TracedAttempt;
  readonly fault: FaultKind | null;
  readonly isAbandoned: boolean;
  readonly endMs: number;
}

/** A part of a composition, or a call of a handler. */
class StepPart implements PartObserver {
  readonly #times: StepTimes;
  readonly #traced: PartObserver | null;
  readonly #attempts: EndedAttempt[] = [];

  constructor(times: StepTimes, traced: PartObserver | null) {
    this.#times = times;
    this.#traced = traced;
  }

  send(out: FieldWriter, attempt: TracedAttempt): void {
    this.#traced?.send(out, attempt);
  }

  attemptEnd(attempt: TracedAttempt, fault: FaultKind | null, isAbandoned: boolean, nowMs: number): void {
    this.#traced?.attemptEnd(attempt, fault, isAbandoned, nowMs);
    this.#attempts.push({ attempt, fault, isAbandoned, endMs: nowMs });
  }

  end(name: string, startMs: number, nowMs: number, failed: string): void {
    this.#traced?.end(name, startMs, nowMs, failed);
    const [first] = this.#attempts;
    this.#times.add('pick', name, startMs, first?.attempt.startedMs ?? nowMs, first === undefined ? failed : '');
    for (const { attempt, fault, isAbandoned, endMs } of this.#attempts) {
      const whole = `${name}, ${attempt.endpoint.settings.id}`;
      const headMs = this.#times.addAttempt(whole, attempt, fault, isAbandoned, endMs);
      if (headMs < endMs) this.#times.add('responseBody', whole, headMs, endMs, failed);
    }
  }
}

/** What it looks at of an exchange. */
interface TriedExchange {
  readonly requestId: string;
  readonly startedMs: number;
  readonly trace: ExchangeTrace | null;
}

/** The requests that are tried now. */
export class Tries {
  readonly #ids: ReadonlySet<string>;
  readonly #control: ControlLink;

  constructor(ids: readonly string[], control: ControlLink) {
    this.#ids = new Set(ids);
    this.#control = control;
  }

  /** `use` gets them, or null while none is tried, now and whenever that changes. */
  static follow(control: ControlLink, use: (tries: Tries | null) => void): void {
    control.subscribe(TRIES_TOPIC, (data) => {
      const known = data as TriesOrder | null;
      use(known === null ? null : new Tries(known.ids, control));
      if (known !== null) control.tell(TRIES_KNOWN_TOPIC, known.order);
    });
  }

  /** Null: this is none of them. */
  begin({ requestId, startedMs, trace }: TriedExchange): StepTimes | null {
    return this.#ids.has(requestId) ? new StepTimes(startedMs, trace) : null;
  }

  tell(requestId: string, steps: readonly TriedStep[]): void {
    this.#control.tell(TRIED_TOPIC, { requestId, steps } satisfies TriedSteps);
  }
}

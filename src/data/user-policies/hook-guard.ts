/**
 * What stands around every hook of a user's policy: says in shared memory that it runs, turns what it throws, returns
 * wrongly or never returns into a fault that names the policy, and counts. A hook without promise costs two stores and
 * a call. What happens here never reaches another request: the worst a policy can do is fail its own routes.
 */

import type { FaultKind } from '../../base/errors.ts';
import { FAULTS, Fault, messageOf, stackOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { systemTimers } from '../../base/system-timers.ts';
import type { Outcome, PolicyContext, PolicyHook, ResponseHook } from '../contract/policy.ts';
import type { PolicyCount, PolicyWatch } from '../contract/policy-watch.ts';
import { ServiceError } from '../contract/user-handler.ts';
import type {
  ExchangeHook,
  PolicyCall,
  PolicyOutcome,
  PolicyResponse,
  Refusal,
  RequestHook,
} from '../contract/user-policy.ts';
import { isRefusal } from '../contract/user-policy.ts';
import { Attendance } from './attendance.ts';
import { hasNewMember } from './intrinsics.ts';

/** A failing policy is logged this often, with the number of failures since. */
const LOG_EVERY_MS = 1_000;
/** Fields that frame the message belong to the engine. */
const FRAMING = /^(content-length|transfer-encoding|connection|keep-alive|upgrade|te|trailer)$/i;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const NO_FIELD_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

export interface GuardParts {
  readonly name: string;
  readonly slot: number;
  readonly watch: PolicyWatch;
  readonly log: Logger;
  readonly timeoutMs: number;
  /** What a policy that is out of use does to its requests. */
  readonly onBroken: 'fail' | 'skip';
  /** What its failures are called. Default: those of policies. */
  readonly faults?: { readonly failed: FaultKind; readonly timeout: FaultKind };
  nowMs(): number;
  /** Puts back what all code shares; says what was changed. */
  putBack(): string;
}

export class HookGuard {
  /** Set when the watchdog has taken the policy out of use. */
  isBroken = false;
  readonly #parts: GuardParts;
  readonly #broken: Fault | undefined;
  #loggedMs = Number.NEGATIVE_INFINITY;
  #unlogged = 0;

  constructor(parts: GuardParts) {
    this.#parts = parts;
    this.#broken =
      parts.onBroken === 'skip'
        ? undefined
        : new Fault(FAULTS.policyBroken, { cause: `policy ${parts.name} is out of use` });
  }

  /** What a policy that is out of use does to a request; undefined: it is left out. */
  get broken(): Fault | undefined {
    return this.#broken;
  }

  refused(refusal: Refusal): Fault {
    return faultOf(refusal, this.#parts.name);
  }

  /** For work that goes on piece by piece; `onLate` is called once a piece takes too long. */
  attend(phase: string, onLate: (fault: Fault) => void): Attendance {
    const { watch, slot, timeoutMs } = this.#parts;
    return new Attendance({
      watch,
      slot,
      timeoutMs,
      putBack: () => this.#parts.putBack(),
      faultOf: (error) =>
        typeof error === 'object' && error !== null && isRefusal(error)
          ? this.refused(error)
          : this.faultOf(phase, error),
      late: () => onLate(this.#late(phase)),
    });
  }

  request(hook: RequestHook, hooks: object, phase: string): PolicyHook {
    const { watch, slot } = this.#parts;
    // An async function that takes no second argument needs no signal; most hooks are of this kind.
    const takesCall = hook.length > 1;
    return (exchange) => {
      if (this.isBroken) return this.#broken;
      const call = takesCall ? new Call() : null;
      let outcome: PolicyOutcome | Promise<PolicyOutcome>;
      watch.enter(slot);
      try {
        outcome = hook.call(hooks, exchange, call as PolicyCall);
      } catch (error) {
        outcome = undefined;
        return this.#failed(phase, error);
      } finally {
        watch.leave();
      }
      if (hasNewMember()) return this.#spoiled(phase);
      if (outcome === undefined) return undefined;
      if (!isPromise(outcome)) return this.#checked(outcome, phase);
      return this.#inTime(outcome, phase, call, (value: PolicyOutcome): Outcome => this.#checked(value, phase));
    };
  }

  /** `responseHead`: a throw fails the exchange; `finish`: there is nothing left to fail. */
  exchange(hook: ExchangeHook, hooks: object, phase: 'responseHead' | 'finish'): ResponseHook {
    const { watch, slot } = this.#parts;
    return (exchange: PolicyContext) => {
      if (this.isBroken) return;
      let returned: unknown;
      watch.enter(slot);
      try {
        returned = hook.call(hooks, exchange);
      } catch (error) {
        const fault = this.#failed(phase, error);
        if (phase === 'responseHead') throw fault;
        return;
      } finally {
        watch.leave();
      }
      if (hasNewMember()) {
        const fault = this.#spoiled(phase);
        if (phase === 'responseHead') throw fault;
        return;
      }
      if (isPromise(returned)) {
        // Whatever its `then` does.
        Promise.resolve(returned).catch(() => {});
        this.#failed(phase, new TypeError('it returned a promise, and this phase does not wait'));
      }
    };
  }

  /**
   * The same for what is no hook: `work` is a handler or a transform, `settle` makes of what it gives what is used of
   * it. A promise counts as running until it has settled, so that a loop behind an `await` has a name as well.
   */
  run<T, R>(
    phase: string,
    work: (call: Call) => T | Promise<T>,
    settle: (result: T) => R,
  ): R | Fault | Promise<R | Fault> {
    if (this.isBroken) return this.#broken ?? new Fault(FAULTS.policyBroken);
    const { watch, slot } = this.#parts;
    const call = new Call();
    let result: T | Promise<T>;
    watch.enter(slot);
    try {
      result = work(call);
    } catch (error) {
      return this.faultOf(phase, error);
    } finally {
      watch.leave();
    }
    if (hasNewMember()) return this.#spoiled(phase);
    if (isPromise(result))
      return this.#inTime(result as Promise<T>, phase, call, (value) => this.#settled(phase, value, settle));
    return this.#settled(phase, result as T, settle);
  }

  #settled<T, R>(phase: string, value: T, settle: (result: T) => R): R | Fault {
    try {
      return settle(value);
    } catch (error) {
      return this.faultOf(phase, error);
    }
  }

  /** A service that gave no response is no failure of who asked it; all else is, and is counted and logged. */
  faultOf(phase: string, error: unknown): Fault {
    if (error instanceof Fault) return error;
    if (error instanceof ServiceError && error.fault instanceof Fault) return error.fault;
    return this.#failed(phase, error);
  }

  #inTime<T, R>(promise: Promise<T>, phase: string, call: Call | null, settle: (value: T) => R): Promise<R | Fault> {
    const { timeoutMs, watch, slot } = this.#parts;
    watch.begin(slot);
    return new Promise((resolve) => {
      let isLate = false;
      const cancel = systemTimers.after(timeoutMs, () => {
        isLate = true;
        call?.abort();
        resolve(this.#late(phase));
      });
      const settled = (settle: () => R | Fault): void => {
        watch.end(slot);
        cancel();
        if (hasNewMember()) {
          const fault = this.#spoiled(phase);
          if (!isLate) resolve(fault);
        } else if (isLate) watch.count(slot, 'late');
        else resolve(settle());
      };
      Promise.resolve(promise).then(
        (value) => settled(() => settle(value)),
        // What the client did wrong while its body was read (`readBody`) is no failure of the policy.
        (error: unknown) => settled(() => this.faultOf(phase, error)),
      );
    });
  }

  #late(phase: string): Fault {
    this.#note('timeouts', phase, `no result within ${this.#parts.timeoutMs} ms`);
    return new Fault(this.#faults.timeout, { cause: `${this.#parts.name}, ${phase}` });
  }

  get #faults(): { readonly failed: FaultKind; readonly timeout: FaultKind } {
    return this.#parts.faults ?? POLICY_FAULTS;
  }

  #checked(outcome: PolicyOutcome, phase: string): Outcome {
    if (outcome === undefined || outcome === null) return undefined;
    if (typeof outcome === 'object' && isRefusal(outcome)) return faultOf(outcome, this.#parts.name);
    const problem = problemOf(outcome);
    if (problem !== undefined) return this.#failed(phase, new TypeError(problem));
    return { status: outcome.status, headers: outcome.headers ?? {}, body: outcome.body ?? '' };
  }

  /** It changed what all code shares, which nobody else may see. */
  #spoiled(phase: string): Fault {
    return this.#failure(phase, new TypeError(this.#parts.putBack()));
  }

  #failed(phase: string, error: unknown): Fault {
    return hasNewMember() ? this.#spoiled(phase) : this.#failure(phase, error);
  }

  #failure(phase: string, error: unknown): Fault {
    this.#note('failures', phase, messageOf(error), stackOf(error));
    return new Fault(this.#faults.failed, { cause: `${this.#parts.name}, ${phase}: ${messageOf(error)}` });
  }

  #note(what: PolicyCount, phase: string, problem: string, stack = ''): void {
    const { watch, slot, log } = this.#parts;
    watch.count(slot, what);
    const now = this.#parts.nowMs();
    if (now - this.#loggedMs < LOG_EVERY_MS) {
      this.#unlogged++;
      return;
    }
    log.error('a policy failed', { phase, problem, stack, unlogged: this.#unlogged });
    this.#loggedMs = now;
    this.#unlogged = 0;
  }
}

const POLICY_FAULTS = { failed: FAULTS.policyFailed, timeout: FAULTS.policyTimeout };

/** The signal, which costs more than most hooks, is made when it is asked for. */
export class Call implements PolicyCall {
  #controller: AbortController | null = null;
  #isAborted = false;
  /** For who needs no signal: called once, when the time is over. */
  whenLate: (() => void) | null = null;

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#isAborted) this.#controller.abort(timeIsOver());
    }
    return this.#controller.signal;
  }

  abort(): void {
    this.#isAborted = true;
    this.whenLate?.();
    this.#controller?.abort(timeIsOver());
  }
}

function timeIsOver(): DOMException {
  return new DOMException('the time of the policy is over', 'TimeoutError');
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

function faultOf(refusal: Refusal, policy: string): Fault {
  const { status, code, message, detail, headers, retryAfterSeconds } = refusal;
  return new Fault(
    { ...FAULTS.policyRefused, status, code, message },
    {
      cause: `policy ${policy}`,
      ...(detail === undefined ? {} : { detail }),
      ...(headers === undefined ? {} : { headers: checkedFields(headers) }),
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    },
  );
}

function checkedFields(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name, value]) => fieldProblem(name, value) === undefined));
}

function problemOf({ status, headers, body }: PolicyResponse): string | undefined {
  if (!Number.isInteger(status) || status < 200 || status > 599)
    return `it returned neither nothing, a refusal nor a response with a status from 200 to 599`;
  if (body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array))
    return 'the body of its response is neither a string nor a Uint8Array';
  for (const [name, value] of Object.entries(headers ?? {})) {
    const problem = fieldProblem(name, value);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function fieldProblem(name: string, value: unknown): string | undefined {
  if (!FIELD_NAME.test(name)) return `its response has the field name ${JSON.stringify(name)}`;
  if (typeof value !== 'string' || NO_FIELD_VALUE.test(value)) return `its response field ${name} has no usable value`;
  if (FRAMING.test(name)) return `its response sets ${name}, which the gateway does`;
  return undefined;
}

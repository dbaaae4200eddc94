/**
 * `quota`: so many per day, week or month, such as five stories a day. A request reserves what it will cost; when its
 * response is one that counts, the reservation is used up, otherwise it is given back. Refuses with 429
 * `QUOTA_EXCEEDED` until the period ends. Durable counting is control's; the worker holds small grants
 * (data/limiter/quota-book.ts).
 */

import { FAULTS, Fault } from '../../base/errors.ts';
import { accountKey } from '../contract/auth.ts';
import { type QuotaSettings, UNLIMITED_QUOTA } from '../contract/limits.ts';
import {
  definePolicy,
  type Identity,
  type Outcome,
  type PolicyContext,
  type PolicyEnvironment,
  type PolicyHooks,
} from '../contract/policy.ts';
import { QuotaBook, type QuotaCaller, type QuotaOutcome, type Reservation } from '../limiter/quota-book.ts';
import { WorkerLimits } from '../limiter/worker-limits.ts';

/** Longest wait that `Retry-After` tells, in seconds: clients take longer ones for an outage. */
const LONGEST_RETRY_SECONDS = 7 * 86_400;

export const quota = definePolicy<readonly QuotaSettings[]>({
  name: 'quota',
  phases: ['limit', 'responseHead', 'finish'],
  create(settings, environment): PolicyHooks {
    const book = quotaBook(environment);
    const checkers = settings.map((one) => new Checker(one, book, environment));
    const [first, second] = checkers;
    if (first === undefined) return {};
    const responseHead = settings.some((one) => one.costHeader !== null)
      ? {
          responseHead: (exchange: PolicyContext): void => {
            for (const checker of checkers) checker.readCost(exchange);
          },
        }
      : {};
    if (second === undefined) return { limit: first.reserve, ...responseHead, finish: first.settle };
    return {
      ...responseHead,
      async limit(exchange): Promise<Outcome> {
        for (const checker of checkers) {
          const outcome = await checker.reserve(exchange);
          if (outcome !== undefined) return outcome;
        }
        return undefined;
      },
      finish(exchange): void {
        for (const checker of checkers) checker.settle(exchange);
      },
    };
  },
});

/** One per worker; the engine's metrics read its `counts()`. */
export function quotaBook(environment: PolicyEnvironment): QuotaBook {
  return environment.perWorker('quotas', () => {
    const book = new QuotaBook(environment.control, environment.clock);
    WorkerLimits.of(environment).reporter.add(() => {
      const { allowed, refused, asked, unanswered } = book.counts();
      return {
        'quota allowed': allowed,
        'quota refused': refused,
        'quota asked': asked,
        'quota unanswered': unanswered,
      };
    });
    return book;
  });
}

class Checker {
  readonly #settings: QuotaSettings;
  readonly #book: QuotaBook;
  readonly #environment: PolicyEnvironment;
  readonly #held = new WeakMap<PolicyContext, { readonly reservation: Reservation; cost: number }>();
  readonly #callers = new WeakMap<Identity, QuotaCaller>();

  constructor(settings: QuotaSettings, book: QuotaBook, environment: PolicyEnvironment) {
    this.#settings = settings;
    this.#book = book;
    this.#environment = environment;
  }

  readonly reserve = (exchange: PolicyContext): Outcome | Promise<Outcome> => {
    const { identity } = exchange;
    // Who cannot be named cannot be counted; a quota on a public route is refused by the configuration.
    if (identity === null) return new Fault(FAULTS.authenticationRequired);
    const { quota: name, cost, timeoutMs } = this.#settings;
    const outcome = this.#book.reserve(name, this.#callerOf(identity), cost, timeoutMs);
    if (!(outcome instanceof Promise)) return this.#answer(exchange, outcome);
    return outcome.then(
      (known) => this.#answer(exchange, known),
      () => {
        if (this.#settings.whenAway === 'open') return undefined;
        return new Fault(FAULTS.limiterUnavailable, { retryAfterSeconds: 1, cause: `quota ${name}: no answer` });
      },
    );
  };

  readonly settle = (exchange: PolicyContext): void => {
    const held = this.#held.get(exchange);
    if (held === undefined) return;
    this.#held.delete(exchange);
    this.#book.settle(held.reservation, this.#counts(exchange) ? held.cost : 0);
  };

  /** The response's fields are only there in `responseHead`. */
  readCost(exchange: PolicyContext): void {
    const { costHeader } = this.#settings;
    const held = this.#held.get(exchange);
    if (costHeader === null || held === undefined) return;
    const text = exchange.responseHeader(costHeader);
    if (text !== null && /^\d{1,9}$/.test(text)) held.cost = Number(text);
  }

  #answer(exchange: PolicyContext, outcome: QuotaOutcome): Outcome {
    const { quota: name, headers } = this.#settings;
    const secondsLeft = Math.max(1, Math.ceil((outcome.endMs - this.#environment.clock.wallMs()) / 1_000));
    if (headers && outcome.limit < UNLIMITED_QUOTA) {
      exchange.addResponseHeader('RateLimit-Policy', `"${name}";q=${outcome.limit};w=${outcome.periodSeconds}`);
      exchange.addResponseHeader('RateLimit', `"${name}";r=${outcome.remaining};t=${secondsLeft}`);
    }
    const { reservation } = outcome;
    if (reservation !== null) {
      this.#held.set(exchange, { reservation, cost: reservation.cost });
      return undefined;
    }
    exchange.logField('quota', name);
    return new Fault(FAULTS.quotaExceeded, {
      detail: `${outcome.limit} ${name} are allowed in the period, ${outcome.remaining} are left`,
      retryAfterSeconds: Math.min(secondsLeft, LONGEST_RETRY_SECONDS),
    });
  }

  #counts(exchange: PolicyContext): boolean {
    const { counts } = this.#settings;
    if (counts === 'always') return true;
    if (exchange.fault !== null || exchange.status === 0) return false;
    return exchange.status < (counts === 'answered' ? 500 : 400);
  }

  #callerOf(identity: Identity): QuotaCaller {
    let caller = this.#callers.get(identity);
    if (caller === undefined) {
      const { subject, issuer = null, account = subject, plan, claims } = identity;
      const parent = claims['par'];
      const cap = (claims['quotas'] as Readonly<Record<string, unknown>> | null | undefined)?.[this.#settings.quota];
      caller = {
        account,
        parent: typeof parent === 'string' ? accountKey(issuer, parent) : null,
        plan,
        cap: typeof cap === 'number' && cap >= 0 ? Math.floor(cap) : null,
      };
      this.#callers.set(identity, caller);
    }
    return caller;
  }
}

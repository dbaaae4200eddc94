/**
 * What happens to a service, reported three ways: counters in shared memory (metrics and status pages read them), one
 * log line per change of state with its reason, and `onStateChange`. The one worker that made a change reports it.
 */
import { LogThrottle } from '../../base/log-throttle.ts';
import { INSTANCE, SERVICE, serviceAt } from '../contract/instance-layout.ts';
import type { InstanceTable } from '../contract/instance-table.ts';
import type { ServiceCounter } from '../contract/service-state.ts';
import { SERVICE_COUNTERS } from '../contract/service-state.ts';
import type { BreakerListener } from './breaker.ts';
import type { ServiceEnvironment, StateChange } from './environment.ts';

/** An instance, as far as telling about it goes. */
interface Subject {
  readonly id: string;
  readonly at: number;
}

const MESSAGES: Readonly<Record<StateChange['change'], string>> = {
  'breaker-open': 'circuit breaker opened',
  'breaker-half-open': 'circuit breaker is half-open',
  'breaker-closed': 'circuit breaker closed',
  ejected: 'instance ejected',
  returned: 'ejected instance is back',
};

export class ServiceEvents {
  readonly #table: InstanceTable;
  readonly #service: string;
  readonly #slot: number;
  readonly #env: Pick<ServiceEnvironment<never>, 'clock' | 'log' | 'onStateChange'>;
  #lenientLines: LogThrottle | null = null;

  constructor(
    table: InstanceTable,
    service: string,
    slot: number,
    env: Pick<ServiceEnvironment<never>, 'clock' | 'log' | 'onStateChange'>,
  ) {
    this.#table = table;
    this.#service = service;
    this.#slot = slot;
    this.#env = env;
  }

  count(counter: ServiceCounter): void {
    const at = serviceAt(this.#slot) + SERVICE.counters + SERVICE_COUNTERS.indexOf(counter);
    Atomics.add(this.#table.words, at, 1);
  }

  /** Such a service does so with every response: one line in ten seconds says it. */
  lenient(problem: string, instance: string): void {
    this.count('lenientResponses');
    this.#lenientLines ??= new LogThrottle(this.#env.clock);
    this.#lenientLines.write((left_out) =>
      this.#env.log.warn('a response against the grammar of HTTP passed, as the service may', {
        service: this.#service,
        instance,
        problem,
        left_out,
      }),
    );
  }

  changed(change: StateChange['change'], instance: Subject | null, reason: string): void {
    const fields = { service: this.#service, instance: instance?.id ?? null, reason };
    if (change === 'breaker-open' || change === 'ejected') this.#env.log.warn(MESSAGES[change], fields);
    else this.#env.log.info(MESSAGES[change], fields);
    this.#env.onStateChange?.({ ...fields, change });
  }

  /** For the breaker of an instance, or of the service (null). */
  breakerListener(instance: Subject | null): BreakerListener {
    return {
      onBreaker: (state, reason) => {
        const { words } = this.#table;
        if (state === 'open' && instance === null) this.count('breakerOpenings');
        else if (state === 'open' && instance !== null) Atomics.add(words, instance.at + INSTANCE.breakerOpenings, 1);
        // Back behind its breaker, an instance starts slowly, as after any other recovery.
        if (state === 'closed' && instance !== null) {
          Atomics.store(words, instance.at + INSTANCE.recoveredAt, this.#table.nowTick());
        }
        this.#table.touch(this.#slot);
        this.changed(`breaker-${state}`, instance, reason);
      },
    };
  }
}

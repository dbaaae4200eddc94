/**
 * `faultInjection`: makes requests slow or fail on purpose, a share of them or those with a field, so that clients and
 * time-outs can be tried. Behind authentication and limits, so it says nothing to strangers.
 */

import { FAULTS, Fault } from '../../base/errors.ts';
import { systemTimers } from '../../base/system-timers.ts';
import { definePolicy } from '../contract/policy.ts';

export interface FaultInjectionSettings {
  /** Only requests with this field, in lower case, and this value where there is one; null: all. */
  readonly when: { readonly header: string; readonly value: string | null } | null;
  readonly delay: { readonly timeMs: number; readonly share: number } | null;
  readonly abort: { readonly status: number; readonly share: number } | null;
}

export const faultInjection = definePolicy<FaultInjectionSettings>({
  name: 'fault-injection',
  phases: ['requestHead'],
  create({ when, delay, abort }, { count }) {
    const fault = abort === null ? undefined : new Fault({ ...FAULTS.faultInjected, status: abort.status });
    return {
      requestHead(exchange) {
        if (when !== null) {
          const value = exchange.header(when.header);
          if (value === null || (when.value !== null && value !== when.value)) return undefined;
        }
        const isSlow = delay !== null && Math.random() < delay.share;
        const fails = abort !== null && Math.random() < abort.share;
        if (!isSlow && !fails) return undefined;
        count('faults_injected', 1);
        exchange.logField('injected', isSlow ? (fails ? 'delay, abort' : 'delay') : 'abort');
        const outcome = fails ? fault : undefined;
        if (!isSlow) return outcome;
        return new Promise((resolve) => void systemTimers.after(delay.timeMs, () => resolve(outcome)));
      },
    };
  },
});

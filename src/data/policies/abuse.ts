/**
 * `abuse`: keeps banned callers out and counts what callers do wrong. Addresses are asked about before authentication,
 * accounts and keys after it; the listener has refused banned peers before that, and the engine asks where no route or
 * a built-in one took a request. Every route has it unless it says `abuse: off`. The rules and bans are control's
 * (section `abuse`), the counting is in data/limiter/worker-abuse.ts.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import { definePolicy, type PolicyContext, type PolicyHooks } from '../contract/policy.ts';
import { WorkerAbuse } from '../limiter/worker-abuse.ts';

export type AbuseSettings = Readonly<Record<string, never>>;

export const abuse = definePolicy<AbuseSettings>({
  name: 'abuse',
  phases: ['authenticate', 'authorize', 'finish'],
  first: true,
  create(_settings, environment): PolicyHooks {
    const watch = WorkerAbuse.of(environment);
    return {
      authenticate: (exchange) => (watch.keepsOut(exchange) ? BANNED_ADDRESS : undefined),
      authorize({ identity }) {
        return identity !== null && watch.isCallerBanned(identity) ? BANNED_CALLER : undefined;
      },
      finish: (exchange: PolicyContext) => watch.ended(exchange),
    };
  },
});

const BANNED_ADDRESS = new Fault(FAULTS.banned);
const BANNED_CALLER = new Fault(FAULTS.banned, { detail: 'the account or key is banned for now' });

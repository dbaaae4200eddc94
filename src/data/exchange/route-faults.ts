/** Why no route takes a request, or why a route does not take an upgrade, as faults. */
import { FAULTS, Fault } from '../../base/errors.ts';
import type { RouteMatchResult } from '../router/match-result.ts';
import type { WorkerRuntime } from '../runtime.ts';

export function routeFault(matched: RouteMatchResult): Fault {
  if (matched.allow !== null) {
    return new Fault(FAULTS.methodNotAllowed, {
      detail: `allowed: ${matched.allow}`,
      headers: { Allow: matched.allow },
    });
  }
  if (matched.unsafe !== null) return new Fault(FAULTS.unsafePath, { detail: matched.unsafe });
  return new Fault(matched.versionProblem ? FAULTS.versionNotAcceptable : FAULTS.routeNotFound);
}

/** `token` is the value of the Upgrade field; anything but one allowed protocol is refused before a byte is sent. */
export function upgradeFault(token: string, allowed: readonly string[], runtime: WorkerRuntime): Fault | null {
  if (!allowed.includes(token.toLowerCase())) {
    return new Fault(FAULTS.upgradeNotAllowed, {
      detail: allowed.length === 0 ? 'the route allows none' : `allowed: ${allowed.join(', ')}`,
    });
  }
  return runtime.hasTunnelLeft()
    ? null
    : new Fault(FAULTS.overloaded, { detail: 'as many tunnels are open as may be', retryAfterSeconds: 5 });
}

/** `limit` is the route's `maxRequestSize`. */
export function tooLarge(limit: number): Fault {
  return new Fault(FAULTS.payloadTooLarge, { detail: `the limit is ${limit} bytes` });
}

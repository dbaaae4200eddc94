/** Why no route takes a request, or why a route does not take an upgrade, as faults. */
import { FAULTS, Fault } from '../../base/errors.ts';
import type { RouteMatchResult } from '../router/match-result.ts';
import type { ExchangeHost } from './exchange-host.ts';

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

/**
 * WebSocket is the one protocol that a client cannot do without: a route without it refuses the client before a byte is
 * sent.
 */
export function upgradeFault(allowed: readonly string[], runtime: ExchangeHost): Fault | null {
  if (!allowed.includes('websocket')) {
    return new Fault(FAULTS.upgradeNotAllowed, {
      detail: 'the route has no "upgrades: websocket"',
      ...(allowed.length === 0 ? {} : { headers: { Upgrade: allowed.join(', ') } }),
    });
  }
  return tunnelFault(runtime);
}

export function tunnelFault(runtime: ExchangeHost): Fault | null {
  return runtime.hasTunnelLeft()
    ? null
    : new Fault(FAULTS.overloaded, { detail: 'the tunnel limit is reached', retryAfterSeconds: 5 });
}

/** `limit` is the route's `maxRequestSize`. */
export function tooLarge(limit: number): Fault {
  return new Fault(FAULTS.payloadTooLarge, { detail: `the limit is ${limit} bytes` });
}

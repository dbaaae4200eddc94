/**
 * The phase `route`: reads target and host, asks the router, and compares the request with what the route allows. What
 * ends the exchange here is returned; otherwise the exchange has its route.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import type { Reply } from '../contract/policy.ts';
import { MAX_FORWARDS } from '../parser/field-names.ts';
import type { Head } from '../parser/head.ts';
import { pathProblem, shownTarget } from '../parser/target.ts';
import type { Exchange } from './exchange.ts';
import { isLooping } from './forwarding.ts';
import type { RequestBuffers } from './request-buffers.ts';
import { routeFault, tooLarge, tunnelFault, upgradeFault } from './route-faults.ts';

/** `OPTIONS *` asks about the gateway itself (RFC 9110 §9.3.7). */
const SERVER_OPTIONS: Reply = {
  status: 204,
  headers: { Allow: 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS' },
  body: '',
};

export function findRoute(exchange: Exchange, incoming: RequestBuffers): Reply | Fault | null {
  const { head, meaning } = incoming;
  const { live, matched, method, runtime, target } = exchange;
  const view = incoming.viewOfHead();
  const problem = runtime.targets.read(head.bytes, view, head.targetStart, head.targetEnd, method, target);
  if (problem !== undefined) {
    target.path = shownTarget(head.bytes.latin1Slice(head.targetStart, head.targetEnd));
    return new Fault(FAULTS.malformedRequest, { detail: problem });
  }
  // TRACE would show the caller what the gateway adds for the service alone; CONNECT is for forward proxies.
  if (target.form === 'authority' || method === 'TRACE') return new Fault(FAULTS.methodNotImplemented);
  if (target.form === 'asterisk') return SERVER_OPTIONS;
  // RFC 9112 §3.2.2: the authority of an absolute target replaces Host.
  exchange.authority = target.authority ?? hostField(exchange, meaning.host, head);
  const host = runtime.hosts.normalize(exchange.authority);
  if (host === null) return new Fault(FAULTS.malformedRequest, { detail: 'the Host field is not a host' });
  exchange.host = host;
  if (method === 'OPTIONS') {
    const preflight = answerPreflight(exchange) ?? countForward(exchange, head);
    if (preflight !== null) return preflight;
  }
  if (isLooping(head, live.gateway.via)) return new Fault(FAULTS.loopDetected);
  live.router.match(exchange, matched);
  const settings = matched.route;
  if (settings === null) return routeFault(matched);
  exchange.route = live.routes[matched.index]!;
  if (target.isSuspicious) {
    const unsafe = pathProblem(target.path, target.isRespelled, settings.pathSafety);
    if (unsafe !== undefined) return new Fault(FAULTS.unsafePath, { detail: unsafe });
    if (matched.plainPath !== null) target.path = matched.plainPath;
  }
  if (meaning.bodyLength > settings.maxRequestBytes) return tooLarge(settings.maxRequestBytes);
  return meaning.upgrade >= 0 ? checkUpgrade(exchange, incoming, settings.upgrades) : null;
}

/**
 * RFC 9110 §7.8: an upgrade to a protocol that is not done here is ignored, and the request is one of HTTP/1.1 like any
 * other: `h2c` comes with every first request of Java's client and of `curl --http2`.
 */
function checkUpgrade(exchange: Exchange, { head, meaning }: RequestBuffers, allowed: readonly string[]): Fault | null {
  const token = head.value(meaning.upgrade).toLowerCase();
  if (allowed.includes(token)) return tunnelFault(exchange.runtime);
  if (token === 'websocket' && exchange.route!.settings.action.kind === 'service')
    return upgradeFault(allowed, exchange.runtime);
  meaning.upgrade = -1;
  return null;
}

function hostField({ runtime }: Exchange, field: number, head: Head): string {
  if (field < 0) return '';
  return runtime.hosts.text(head.bytes, head.marks[field * 4 + 2]!, head.marks[field * 4 + 3]!);
}

/**
 * RFC 9110 §7.6.2: how many may still pass an OPTIONS request on. At 0 the gateway is the one that responds; a value
 * that is no number is passed on for the service to judge.
 */
function countForward(exchange: Exchange, head: Head): Reply | null {
  const at = head.find(MAX_FORWARDS);
  if (at < 0 || !/^\d{1,9}$/.test(head.value(at))) return null;
  const left = Number(head.value(at));
  if (left === 0) return SERVER_OPTIONS;
  exchange.setUpstreamHeader('Max-Forwards', `${left - 1}`);
  return null;
}

/** A CORS preflight is about the route that the announced method would reach; its policy responds before all others. */
function answerPreflight(exchange: Exchange): Reply | Fault | null {
  const method = exchange.header('access-control-request-method');
  if (method === null || exchange.header('origin') === null) return null;
  const { host, live, matched, path, query } = exchange;
  live.router.match({ method, host, path, query, header: (name) => exchange.header(name) }, matched);
  const route = matched.route === null ? null : live.routes[matched.index]!;
  if (route === null || route.preflight === null) return null;
  const outcome = route.preflight(exchange);
  if (outcome instanceof Promise || outcome === undefined) return null;
  exchange.route = route;
  return outcome;
}

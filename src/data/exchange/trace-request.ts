/**
 * What the exchange reports to the trace of its request, and to its times where it is tried; each attempt sends its own
 * place in the trace (request-head.ts).
 */
import { Fault } from '../../base/errors.ts';
import { PHASES, type Phase } from '../../base/vocabulary.ts';
import type { Reply } from '../contract/policy.ts';
import { policyOf } from '../contract/policy-names.ts';
import { TRACEPARENT } from '../parser/field-names.ts';
import type { Head } from '../parser/head.ts';
import type { ExchangeTrace } from '../trace/exchange-trace.ts';
import type { Tracer } from '../trace/tracer.ts';
import type { Exchange } from './exchange.ts';

/** By the numbers of `Exchange.#advance`. */
const PHASE_NAMES = PHASES.slice(PHASES.indexOf('arrival'));

/** The caller's trace goes on here. What it said is not copied to services (forwarding.ts). */
export function beginTrace(exchange: Exchange, head: Head, tracer: Tracer): ExchangeTrace {
  const parent = head.find(TRACEPARENT) < 0 ? null : head.valueOf('traceparent');
  const state = parent === null ? null : head.valueOf('tracestate');
  return tracer.begin(parent, state, exchange.peer.trusted);
}

/** A policy that waited for something, such as an introspection or a shared limit, or computed for long. */
export function tracePolicy(exchange: Exchange, phase: number, hook: object, sinceMs: number, failed: boolean): void {
  const { trace, times, runtime } = exchange;
  if (exchange.observer === null || exchange.isDone) return;
  const nowMs = runtime.clock.monotonicMs();
  times?.add(PHASE_NAMES[phase]!, policyOf(hook), sinceMs, nowMs, failed ? 'refused' : '');
  if (trace === null) return;
  // Who was asked has got the span's id.
  if (!trace.isAsking && nowMs - sinceMs < (runtime.tracer?.settings.policyMs ?? 0)) return;
  trace.addPolicy(PHASE_NAMES[phase]!, policyOf(hook), sinceMs, nowMs, failed ? 'refused' : '');
}

/** A request that is tried: the route was found, or none (`outcome` is what the client gets then). */
export function timeRoute(exchange: Exchange, sinceMs: number, outcome: Reply | Fault | null): void {
  const failed = outcome instanceof Fault ? outcome.kind.reason : '';
  exchange.times!.add('route', exchange.routeId, sinceMs, exchange.runtime.clock.monotonicMs(), failed);
}

/** The same request: a hook that only looks or decorates. */
export function timeHook(exchange: Exchange, phase: Phase, hook: (exchange: Exchange) => void): void {
  const { clock } = exchange.runtime;
  const sinceMs = clock.monotonicMs();
  let failed = 'failed';
  try {
    hook(exchange);
    failed = '';
  } finally {
    exchange.times!.add(phase, policyOf(hook), sinceMs, clock.monotonicMs(), failed);
  }
}

/** The exchange is over: it is recorded if it was sampled, failed or slow. */
export function endTrace(
  exchange: Exchange,
  tracer: Tracer,
  status: number,
  outcome: number,
  elapsedMs: number,
  wallMs: number,
): void {
  const reason = tracer.reasonFor(exchange, outcome, elapsedMs);
  if (reason === null) return;
  tracer.record(exchange, exchange.downstream.cache.clientPart(exchange, tracer), reason, status, elapsedMs, wallMs);
}

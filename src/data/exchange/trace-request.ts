/** What the exchange tells the trace of its request; each attempt is told its own place in it (request-head.ts). */
import { PHASES } from '../../base/vocabulary.ts';
import type { ExchangeTrace } from '../trace/exchange-trace.ts';
import type { Tracer } from '../trace/tracer.ts';
import type { Exchange } from './exchange.ts';

/** By the numbers of `Exchange.#advance`. */
const PHASE_NAMES = PHASES.slice(PHASES.indexOf('arrival'));

/** The caller's trace goes on here. */
export function beginTrace(exchange: Exchange, tracer: Tracer): ExchangeTrace | null {
  const parent = exchange.header('traceparent');
  const state = exchange.header('tracestate');
  if (parent !== null) exchange.removeUpstreamHeader('traceparent');
  if (state !== null) exchange.removeUpstreamHeader('tracestate');
  return tracer.begin(parent, state, exchange.peer.trusted, exchange.startedMs);
}

/** A policy that waited for something, such as an introspection or a shared limit. */
export function traceWait(exchange: Exchange, phase: number, sinceMs: number, failed: boolean): void {
  const { trace, runtime } = exchange;
  if (trace === null || exchange.isDone) return;
  const nowMs = runtime.clock.monotonicMs();
  if (nowMs - sinceMs < (runtime.tracer?.settings.policyMs ?? 0)) return;
  trace.addInner('', PHASE_NAMES[phase]!, sinceMs, nowMs, failed ? 'refused' : '');
}

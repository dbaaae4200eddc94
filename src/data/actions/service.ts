/** `service`: the request goes to a service, or to one of several. */
import { FAULTS, Fault } from '../../base/errors.ts';
import type { RouteSettings } from '../contract/snapshot.ts';
import type { RouteAction } from '../exchange/active-config.ts';
import type { UpstreamService } from '../exchange/attempt.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { ResponseHandler, ResponseSource } from '../exchange/response-source.ts';
import { UpstreamCall } from '../exchange/upstream-call.ts';
import { isRepeatable } from '../resilience/may-resend.ts';
import { compileRewrite, type Rewrite } from '../router/rewrite.ts';
import { compileSplit } from '../router/split.ts';

/** Throws a `TypeError` that names the route when a service is not there. */
export function serviceAction(settings: RouteSettings, services: ReadonlyMap<string, UpstreamService>): ServiceAction {
  return new ServiceAction(settings, services);
}

export class ServiceAction implements RouteAction {
  readonly choose: (exchange: Exchange) => UpstreamService;
  readonly #rewrite: Rewrite | null;
  readonly #mirrorBytes: number;
  /** Null: as the service says. */
  readonly #requestBufferBytes: number | null;

  constructor(settings: RouteSettings, services: ReadonlyMap<string, UpstreamService>) {
    this.choose = chooser(settings, services);
    this.#rewrite = settings.rewrite === null ? null : compileRewrite(settings.rewrite, settings.match.path);
    this.#mirrorBytes = settings.mirror?.maxBodyBytes ?? 0;
    this.#requestBufferBytes = settings.requestBufferBytes;
  }

  open(exchange: Exchange, handler: ResponseHandler): ResponseSource | Fault {
    const { body } = exchange;
    const fault = this.setPath(exchange);
    if (fault !== null) return fault;
    const service = this.choose(exchange);
    if (body.length !== 0) {
      // What has been sent is kept only where it may be sent again: over HTTP/1.1 almost never for a POST, over HTTP/2
      // always, since an instance says whether it has processed it (RFC 9113 §8.7).
      const { protocol, retries } = service.settings;
      const mayRepeat = retries.attempts > 0 && (protocol !== 'h1' || isRepeatable(retries, exchange));
      body.allowReplay(Math.max(mayRepeat ? retries.maxReplayBytes : 0, this.#mirrorBytes));
    }
    if (service.settings.protocol === 'grpc') exchange.readDeadline();
    const call = new UpstreamCall(exchange.runtime, exchange.live, service, exchange, body, handler);
    if (body.length !== 0 && exchange.mayGatherBody)
      call.gathersBytes = this.#requestBufferBytes ?? service.settings.requestBufferBytes;
    exchange.call = call;
    return call;
  }

  /** The path as the service gets it, unless a policy has said it. */
  setPath(exchange: Exchange): Fault | null {
    if (exchange.upstreamPath !== '') return null;
    const { matched, target } = exchange;
    const path = this.#rewrite === null ? target.path : this.#rewrite(target.path, matched);
    if (path === null) return new Fault(FAULTS.unsafePath, { detail: 'rewritten, the path could be read in two ways' });
    exchange.upstreamPath = path === '' ? '/' : path;
    exchange.isAllStripped = path === '';
    if (!exchange.isQueryChanged) exchange.upstreamQuery = target.hasQuery ? target.query : null;
    return null;
  }
}

function chooser(
  settings: RouteSettings,
  services: ReadonlyMap<string, UpstreamService>,
): (exchange: Exchange) => UpstreamService {
  if (settings.action.kind !== 'service') throw new TypeError(`route "${settings.id}" has no service`);
  const { targets, split } = settings.action;
  const live = targets.map((target) => {
    const service = services.get(target.service);
    if (service === undefined) throw new TypeError(`route "${settings.id}": there is no service "${target.service}"`);
    return service;
  });
  const only = live[0]!;
  if (live.length === 1 && split === null) return () => only;
  const choose = compileSplit(targets, split);
  return (exchange) => live[choose(exchange)]!;
}

/**
 * The cache around an action that asks a service, a handler or a composition: what is stored is sent without asking it,
 * what may be stored is (data/cache). On routes without a cache of their own it only watches for requests that make
 * stored responses invalid.
 */
import { Fault } from '../../base/errors.ts';
import { CachedResponse } from '../cache/cached-response.ts';
import { CachedRoute, type Refresh, type RouteCache } from '../cache/cached-route.ts';
import { HotHit } from '../cache/hot-hit.ts';
import { InvalidatingHandler } from '../cache/invalidating-handler.ts';
import type { Invalidator } from '../cache/invalidator.ts';
import { ReplyAsMessage } from '../cache/reply-as-message.ts';
import { isSafe } from '../cache/rules/invalidation.ts';
import type { Reply } from '../contract/policy.ts';
import type { RouteAction } from '../exchange/active-config.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { ResponseHandler, ResponseSource } from '../exchange/response-source.ts';
import { sendBeside } from '../exchange/send-beside.ts';

/** `makesReplies`: its responses are made here, as replies; those of a service are its own. */
export function cachedAction(cache: RouteCache, action: RouteAction, makesReplies: boolean): RouteAction {
  const dispose = (): void => action.dispose?.();
  if (!(cache instanceof CachedRoute)) {
    return {
      dispose,
      open(exchange, handler) {
        if (isSafe(exchange.method)) return action.open(exchange, handler);
        const watching = new InvalidatingHandler(cache, exchange, handler);
        return makesReplies ? asMessage(action, exchange, cache, watching) : action.open(exchange, watching);
      },
    };
  }
  return {
    dispose,
    open(exchange, handler) {
      const hit = HotHit.of(cache, exchange, handler);
      if (hit !== null) return hit;
      const open = (inner: ResponseHandler): ResponseSource =>
        makesReplies
          ? asMessage(action, exchange, cache.invalidator, inner)
          : sourceOf(action.open(exchange, inner), inner);
      return new CachedResponse(cache, exchange, open, handler, makesReplies ? null : refreshWith(action, exchange));
    },
  };
}

function asMessage(
  action: RouteAction,
  exchange: Exchange,
  invalidator: Invalidator,
  handler: ResponseHandler,
): ResponseSource {
  const message = new ReplyAsMessage(exchange, invalidator, handler);
  return message.from(sourceOf(action.open(exchange, message), message));
}

/** A response that is there at once, in the form of a source. */
function sourceOf(opened: ResponseSource | Reply | Fault, handler: ResponseHandler): ResponseSource {
  if ('start' in opened) return opened;
  return {
    start: () => (opened instanceof Fault ? handler.onFault(opened) : handler.onReply(opened)),
    resume() {},
    abandon() {},
  };
}

/** The action chooses service and path as for the request itself; a request of its own then goes there. */
function refreshWith(action: RouteAction, exchange: Exchange): Refresh {
  return (conditions, handler) => {
    const opened = action.open(exchange, handler);
    const { call } = exchange;
    exchange.call = null;
    if (opened instanceof Fault) handler.onFault(opened);
    else if (call === null) startBeside(opened as ResponseSource, exchange);
    else sendBeside(exchange, call.service, conditions, handler);
  };
}

/** A source that makes its own request of the client's, which it goes on reading. */
function startBeside(source: ResponseSource, exchange: Exchange): void {
  exchange.keepRequest();
  source.start(exchange.runtime.clock.monotonicMs());
  exchange.call = null;
}

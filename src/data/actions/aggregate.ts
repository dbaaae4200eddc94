/** `aggregate`: one response that is put together of those of several services. */
import type { AggregateSettings } from '../contract/aggregate.ts';
import type { RouteAction } from '../exchange/active-config.ts';
import { aggregateAction as compile } from '../exchange/aggregate-call.ts';
import type { UpstreamService } from '../exchange/attempt.ts';
import { PromisedReply } from '../exchange/reply-source.ts';

/** Throws a `TypeError` when a service is not there. */
export function aggregateAction(
  settings: AggregateSettings,
  services: ReadonlyMap<string, UpstreamService>,
): RouteAction {
  const compose = compile(settings, services);
  return {
    open(exchange, handler) {
      exchange.takesTime();
      return new PromisedReply(() => compose(exchange), handler);
    },
  };
}

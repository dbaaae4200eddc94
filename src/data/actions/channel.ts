/** `publish`, `subscribe` and `builtin: realtime`: the event bridge responds, by the worker's link to it. */
import { FAULTS, Fault } from '../../base/errors.ts';
import { BridgeLink } from '../channels/bridge-link.ts';
import { ChannelSource } from '../channels/channel-source.ts';
import { EVENTS_SERVICE, type PublishSettings, REALTIME_SERVICE } from '../contract/events.ts';
import type { PolicyEnvironment } from '../contract/policy.ts';
import type { RouteSettings } from '../contract/snapshot.ts';
import type { RouteAction } from '../exchange/active-config.ts';

/** Of requests that publish nothing by a route; the hub knows its own limit, which is at most this. */
const MOST_BYTES = 1024 ** 2;

/** The bridge has endpoints of its own too, which are a service like any other. */
export function isChannelRoute({ action, policies }: RouteSettings): boolean {
  if (action.kind !== 'service') return false;
  if (action.targets.every(({ service }) => service === REALTIME_SERVICE)) return true;
  const isEvents = action.targets.every(({ service }) => service === EVENTS_SERVICE);
  return isEvents && policies.some(({ name }) => name === 'publish' || name === 'subscribe');
}

export function channelAction({ policies }: RouteSettings, environment: PolicyEnvironment): RouteAction {
  const publishes = policies.find(({ name }) => name === 'publish')?.options as PublishSettings | undefined;
  const maxBytes = publishes?.maxBytes ?? MOST_BYTES;
  const link = BridgeLink.of(environment);
  return {
    open(exchange, handler) {
      if (exchange.channel === null)
        return new Fault(FAULTS.internal, { cause: 'no policy has said what it is about' });
      return new ChannelSource(exchange, link, handler, maxBytes);
    },
  };
}

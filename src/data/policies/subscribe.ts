/**
 * `subscribe`: the response is the stream of events whose subjects match. Only says which ones: the route's action
 * (actions/channel.ts) has the event bridge respond (control/events/subscribe/).
 */
import type { SubscribeSettings } from '../contract/events.ts';
import { definePolicy } from '../contract/policy.ts';
import { channelHook } from './event-channel.ts';

export const subscribe = definePolicy<SubscribeSettings>({
  name: 'subscribe',
  phases: ['requestHead'],
  create: (settings, environment) => ({ requestHead: channelHook(settings, environment) }),
});

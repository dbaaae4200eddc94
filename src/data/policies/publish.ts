/**
 * `publish`: the request becomes an event of a stream. Only says which one: the route's action sends the request to the
 * built-in service `builtin:events`, which publishes and responds (control/events/publish/), so that authentication,
 * limits and every other policy have decided before.
 */
import type { PublishSettings } from '../contract/events.ts';
import { definePolicy } from '../contract/policy.ts';
import { channelHook } from './event-channel.ts';

export const publish = definePolicy<PublishSettings>({
  name: 'publish',
  phases: ['requestHead'],
  create: (settings, environment) => ({ requestHead: channelHook(settings, environment) }),
});

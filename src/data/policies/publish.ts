/**
 * `publish`: the request becomes an event of a stream. Only says which one: the route's action (actions/channel.ts) has
 * the event bridge publish it and respond (control/events/publish/), when authentication, limits and every other policy
 * have decided.
 */
import type { PublishSettings } from '../contract/events.ts';
import { definePolicy } from '../contract/policy.ts';
import { channelHook } from './event-channel.ts';

export const publish = definePolicy<PublishSettings>({
  name: 'publish',
  phases: ['requestHead'],
  create: (settings, environment) => ({ requestHead: channelHook(settings, environment) }),
});

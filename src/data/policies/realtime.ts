/**
 * `realtime`: a route with `builtin: realtime` leads to the hub of the event bridge (control/events/hub/), which is
 * told who calls. On other routes it does nothing.
 */
import type { RealtimeSettings } from '../contract/events.ts';
import { definePolicy } from '../contract/policy.ts';
import { realtimeHook } from './event-channel.ts';

export const realtime = definePolicy<RealtimeSettings>({
  name: 'realtime',
  phases: ['requestHead'],
  create: (_settings, environment) => ({ requestHead: realtimeHook(environment) }),
});

/** Options of `realtime`: what goes for one route with `builtin: realtime`. */
import * as z from 'zod';
import { REALTIME_SERVICE, type RealtimeSettings } from '../contract/events.ts';
import { definePolicyOptions } from '../contract/options.ts';
import { originList } from './event-parts.options.ts';

const realtimeSchema = z
  .strictObject({
    origins: originList()
      .optional()
      .describe(
        'Origins of pages that may open a WebSocket here; others are answered with 403. Default: pages of the host that is asked.',
      ),
    anonymous: z
      .boolean()
      .prefault(false)
      .describe(
        'Whether anonymous clients may stay. Default: such a client has `events.hub.authTimeout` to authenticate.',
      ),
  })
  .describe('With `builtin: realtime`: who may come in.');

export const realtimeOptions = definePolicyOptions({
  key: 'realtime',
  schema: realtimeSchema,
  levels: ['route'],
  whenAbsent: () => ({}),
  compile(options, _context, route) {
    if (!route.services.includes(REALTIME_SERVICE)) return [];
    const settings: RealtimeSettings = {
      origins: options.origins ?? [],
      anonymous: options.anonymous,
    };
    return [{ name: 'realtime', options: settings }];
  },
});

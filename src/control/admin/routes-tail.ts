/** Requests as they end, for those who watch. */
import * as z from 'zod';
import { eventStream, type Kit, operation } from './kit.ts';
import { MOST_A_SECOND, STATUS_PATTERN, type TailHub } from './tail.ts';

const filter = z.object({
  route: z.string().max(256).optional().describe('Id of a route; absent for all, and for what no route took.'),
  status: z
    .string()
    .regex(STATUS_PATTERN, 'a status such as 404, a class such as 5xx, or errors')
    .optional()
    .describe('A status such as `404`, a class such as `5xx`, or `errors` for 400 and above.'),
  text: z
    .string()
    .max(200)
    .optional()
    .describe('What the record has somewhere, such as a path, an address or a request id; case counts.'),
});

export function tailRoutes(kit: Kit, hub: TailHub): void {
  operation(
    kit,
    {
      method: 'get',
      path: '/requests/stream',
      tag: 'gateway',
      summary: `Requests as they end: server-sent events named \`requests\` with \`requests\` (records as in the access log) and \`dropped\`, at most ${MOST_A_SECOND} requests a second`,
      role: 'viewer',
      query: filter,
      mediaType: 'text/event-stream',
      response: z.string(),
    },
    ({ query }) => eventStream((send) => hub.watch(query, (batch) => send('requests', batch))),
  );
}

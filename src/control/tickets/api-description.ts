/** What a route with `ticket` does, for the published OpenAPI document. */
import * as z from 'zod';
import type { OperationText } from '../openapi-document.ts';

export const TICKET_TEXT: OperationText = {
  summary: 'Makes a ticket that opens one WebSocket or event stream',
  who: 'public',
  status: 201,
  response: z.object({
    ticket: z.string().describe('Goes into the query of what it is to open: `?ticket=...`.'),
    expiresIn: z.int().min(0).describe('Seconds until it can be used no more.'),
  }),
  errors: {
    401: 'The caller is not known',
    403: 'The credential is bound to a certificate',
    429: 'The account has too many unused tickets',
    503: 'The ticket could not be kept; Retry-After says when to try again',
  },
};

/** `respond`: a response that the configuration itself gives, for routes and as the fallback of services. */
import * as z from 'zod';
import { responseFields } from './fields.ts';

export const fixedResponse = z
  .strictObject({
    status: z.int().min(200).max(599).prefault(200).describe('Status of the answer.'),
    headers: responseFields().prefault({}).describe('Header fields of the answer.'),
    body: z.string().max(1_048_576).optional().describe('Body, as text; `text/plain` unless `headers` says otherwise.'),
    json: z.unknown().optional().describe('Body, as JSON; instead of `body`.'),
  })
  .check((context) => {
    const { status, body, json } = context.value;
    const refuse = (key: string, message: string): void => {
      context.issues.push({ code: 'custom', path: [key], input: context.value, message });
    };
    if (body !== undefined && json !== undefined) refuse('json', 'cannot stand beside body');
    // RFC 9110 §15.3.5, §15.3.6, §15.4.5: these never have content.
    const isBare = status === 204 || status === 205 || status === 304;
    if (isBare && ((body ?? '') !== '' || json !== undefined))
      refuse('status', `an answer with status ${status} has no body`);
  });

export type FixedResponseOptions = z.output<typeof fixedResponse>;

/** Options of `headers` and what they compile to. Names and placeholders are checked here, once. */
import * as z from 'zod';
import { templateProblem } from '../auth/authorize/template.ts';
import { IDENTITY_HEADERS } from '../auth/identity-headers.ts';
import { checkedText, headerName, oneOrMore } from '../auth/schema-parts.options.ts';
import { definePolicyOptions } from '../contract/options.ts';
import { UNTOUCHABLE } from './auth-methods.options.ts';
import type { HeaderChanges } from './headers.ts';

/**
 * Fields that the engine writes on the way to the upstream; a second hand there would only confuse who is told what.
 */
const FORWARDING: ReadonlySet<string> = new Set([
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'forwarded',
  'via',
  'x-request-id',
  ...IDENTITY_HEADERS,
]);

const name = (isRequest: boolean) =>
  headerName().refine((text) => {
    const lower = text.toLowerCase().replaceAll('_', '-');
    return !UNTOUCHABLE.has(lower) && !(isRequest && FORWARDING.has(lower));
  }, 'is written by the gateway itself');

const value = () =>
  checkedText(templateProblem, 'a text with placeholders such as {auth.sub}, {params.x} or {request.id}', 4_000).regex(
    /^[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/,
    'must be a header value: one line, no blank at either end',
  );

const changes = (isRequest: boolean, what: string) =>
  z
    .strictObject({
      rename: z.record(name(isRequest), name(isRequest)).prefault({}).describe('Old names and new ones; done first.'),
      remove: oneOrMore(name(isRequest)).optional().describe('Fields that are taken out.'),
      set: z
        .record(name(isRequest), value())
        .prefault({})
        .describe(
          'Fields and their values, instead of all that are there. One whose placeholder has no value is taken out.',
        ),
      add: z.record(name(isRequest), value()).prefault({}).describe('Fields beside those that are there.'),
    })
    .describe(what);

const headersSchema = z
  .strictObject({
    request: changes(true, 'Changes of the request that the service gets.').optional(),
    response: changes(false, 'Changes of the answer that the caller gets.').optional(),
  })
  .describe('Sets, adds, removes and renames header fields.');

export const headersOptions = definePolicyOptions({
  key: 'headers',
  schema: headersSchema,
  levels: ['gateway', 'service', 'route'],
  combine: 'all',
  compile({ request, response }) {
    return [{ name: 'headers', options: { request: lowered(request), response: lowered(response) } }];
  },
});

function lowered(written: z.output<ReturnType<typeof changes>> | undefined): HeaderChanges | null {
  if (written === undefined) return null;
  const { rename, remove = [], set, add } = written;
  return {
    rename: Object.fromEntries(Object.entries(rename).map(([from, to]) => [from.toLowerCase(), to])),
    remove: remove.map((text) => text.toLowerCase()),
    set,
    add,
  };
}

/** What the options of `publish` and `subscribe` share: the stream's name, subjects, and that the stream exists. */
import * as z from 'zod';
import { checkedText, oneOrMore } from '../auth/schema-parts.options.ts';
import { REALTIME_STREAM } from '../contract/events.ts';
import type { OptionContext } from '../contract/options.ts';
import { subjectTemplateProblem } from './event-channel.ts';

export const streamName = () =>
  z
    .string()
    .max(100)
    .regex(/^[A-Za-z][A-Za-z0-9_-]*$/, 'must be a name of letters, digits, "_" and "-" that begins with a letter');

/** Origins of pages that may open a WebSocket. */
export const originList = () =>
  oneOrMore(
    z
      .string()
      .max(300)
      .regex(/^(\*|https?:\/\/[^/\s?#]+)$/, 'must be an origin such as https://app.example.com, or "*"'),
  );

export const subjectTemplate = (wildcards: boolean) =>
  checkedText(
    (text) => subjectTemplateProblem(text, wildcards),
    wildcards ? 'a pattern such as users.{auth.sub}.> or commits.*' : 'a subject such as commits.{params.id}',
    500,
  );

/** The stream as the document has it; a problem when there is none. */
export function checkStream(name: string, context: OptionContext): { readonly subjects?: unknown } | undefined {
  const events = context.document?.['events'] as
    | { readonly streams?: Record<string, object>; readonly hub?: object }
    | undefined;
  if (context.document === undefined) return {};
  if (name === REALTIME_STREAM && events?.hub !== undefined) return { subjects: ['>'] };
  const stream = events?.streams?.[name];
  if (stream !== undefined) return stream;
  const known = Object.keys(events?.streams ?? {});
  context.problem('there is no such stream', {
    at: ['stream'],
    got: JSON.stringify(name),
    expected: known.length === 0 ? 'a key of events.streams, which is empty' : `one of ${known.join(', ')}`,
  });
  return undefined;
}

/** A warning's worth of care: a subject that cannot be one of the stream's would be 404 for every request. */
export function checkRoutable(
  subject: string,
  stream: string,
  found: { readonly subjects?: unknown },
  context: OptionContext,
): void {
  const patterns =
    Array.isArray(found.subjects) && found.subjects.length > 0 ? found.subjects : [stream, `${stream}.>`];
  if (patterns.some((pattern) => mayOverlap(subject.split('.'), String(pattern).split('.')))) return;
  context.problem('is not one of the subjects of the stream', {
    at: ['subject'],
    got: JSON.stringify(subject),
    expected: `a subject that matches ${patterns.join(' or ')}`,
  });
}

/** Both may have wildcards; a placeholder is any one part. */
function mayOverlap(one: readonly string[], other: readonly string[]): boolean {
  const any = (part: string): boolean => part === '*' || part.includes('{');
  for (let i = 0; ; i++) {
    const [a, b] = [one[i], other[i]];
    if (a === undefined || b === undefined) return a === b;
    if (a === '>' || b === '>') return true;
    if (!any(a) && !any(b) && a !== b) return false;
  }
}

/**
 * Path templates of `google.api.http`:
 *
 *     Template = "/" Segments [ ":" LITERAL ]      Segments = Segment { "/" Segment }
 *     Segment  = "*" | "**" | LITERAL | Variable   Variable = "{" field.path [ "=" Segments ] "}"
 *
 * `*` is one segment, `**` any number of them at the end. Read here for the check of the configuration and for workers.
 */

export type TemplateSegment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'one' }
  | { readonly kind: 'rest' };

export interface TemplateVariable {
  /** Names of fields from the request down. */
  readonly field: readonly string[];
  /** Segments `[from, to)`; `to` is open where the last one is `**`. */
  readonly from: number;
  readonly to: number;
  /** Holds slashes, or may: they stay encoded in what was sent. */
  readonly isMulti: boolean;
}

export interface PathTemplate {
  readonly segments: readonly TemplateSegment[];
  readonly variables: readonly TemplateVariable[];
  /** What stands behind a colon at the end, or empty. */
  readonly verb: string;
}

const FIELD_PATH = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/;
const LITERAL = /^[\w.~!$&'()+,;=@%-]+$/;

/** Throws a `TypeError` that says what is wrong. */
export function parseTemplate(template: string): PathTemplate {
  if (!template.startsWith('/')) throw new TypeError('must begin with "/"');
  const { body, verb } = splitVerb(template);
  const segments: TemplateSegment[] = [];
  const variables: TemplateVariable[] = [];
  for (const part of partsOf(body.slice(1))) {
    if (!part.startsWith('{')) {
      segments.push(segmentOf(part));
      continue;
    }
    const equals = part.indexOf('=');
    const name = part.slice(1, equals < 0 ? -1 : equals);
    if (!part.endsWith('}') || !FIELD_PATH.test(name)) throw new TypeError(`has no field in "${part}"`);
    const inner = (equals < 0 ? '*' : part.slice(equals + 1, -1)).split('/').map(segmentOf);
    if (variables.some(({ field }) => field.join('.') === name)) throw new TypeError(`names ${name} twice`);
    const from = segments.length;
    segments.push(...inner);
    const isMulti = inner.length > 1 || inner[0]!.kind === 'rest';
    variables.push({ field: name.split('.'), from, to: segments.length, isMulti });
  }
  const rest = segments.findIndex(({ kind }) => kind === 'rest');
  if (rest >= 0 && rest < segments.length - 1) throw new TypeError('has "**" before its end');
  return { segments, variables, verb };
}

/** A colon behind the last slash and outside of braces begins the verb. */
function splitVerb(template: string): { body: string; verb: string } {
  const colon = template.lastIndexOf(':');
  if (colon < 0 || colon < template.lastIndexOf('/') || colon < template.lastIndexOf('}'))
    return { body: template, verb: '' };
  const verb = template.slice(colon + 1);
  if (!LITERAL.test(verb)) throw new TypeError('has nothing behind its colon');
  return { body: template.slice(0, colon), verb };
}

/** Slashes inside of braces do not end a part. */
function partsOf(text: string): string[] {
  const parts: string[] = [];
  let part = '';
  let depth = 0;
  for (const character of text) {
    if (character === '{') depth++;
    if (character === '}') depth--;
    if (depth < 0 || depth > 1) throw new TypeError('has braces that do not match');
    if (character === '/' && depth === 0) {
      parts.push(part);
      part = '';
    } else part += character;
  }
  if (depth !== 0) throw new TypeError('has braces that do not match');
  return [...parts, part];
}

function segmentOf(text: string): TemplateSegment {
  if (text === '*') return { kind: 'one' };
  if (text === '**') return { kind: 'rest' };
  if (!LITERAL.test(text)) throw new TypeError(text === '' ? 'has an empty segment' : `has no segment in "${text}"`);
  return { kind: 'literal', text };
}

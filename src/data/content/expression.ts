/**
 * The templates of `aggregate`: `/users/{params.id}`, `{parts.user.body.id}`, `{query.limit ?? 10}`. A reference names
 * where a value is and nothing else: no calls, no operators, so it costs what a look-up costs. Read once, on the
 * control side; workers evaluate. A value in a path is one segment, whatever it holds.
 */
import type { Reference, Template, ValueTemplate } from '../contract/aggregate.ts';

/** What references look into. */
export interface Values {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly auth: Readonly<Record<string, unknown>> | null;
  /** In compositions its `body`, in transforms `id`, `method` and `path`. */
  readonly request: Readonly<Record<string, unknown>>;
  readonly parts: Readonly<Record<string, unknown>>;
  readonly item?: unknown;
  /** In transforms: the body as it stands. */
  readonly body?: unknown;
  header(name: string): string | null;
}

/** A value that a path or a query cannot do without is not there. */
export class MissingValue extends Error {
  readonly reference: string;
  /** It is something that the client should have sent. */
  readonly isOfClient: boolean;

  constructor(reference: Reference, expected: string) {
    super(`${reference.path.join('.')} is not ${expected}`);
    this.reference = reference.path.join('.');
    this.isOfClient = ['params', 'query', 'headers', 'request'].includes(reference.path[0] ?? '');
  }
}

export const ROOTS: readonly string[] = ['params', 'query', 'headers', 'auth', 'request', 'parts', 'item'];
const REFERENCE = /^\s*([A-Za-z_][\w-]*(?:\.[\w-]+)*)\s*(?:\?\?\s*(.+?)\s*)?$/s;

/** `roots`: what references may begin with. Throws a `TypeError` that says what is wrong. */
export function readTemplate(text: string, roots = ROOTS): Template {
  const parts: (string | Reference)[] = [];
  let rest = text;
  for (let open = rest.indexOf('{'); open >= 0; open = rest.indexOf('{')) {
    const close = rest.indexOf('}', open);
    if (close < 0) throw new TypeError(`"{" without "}" in ${JSON.stringify(text)}`);
    if (open > 0) parts.push(rest.slice(0, open));
    parts.push(readReference(rest.slice(open + 1, close), roots));
    rest = rest.slice(close + 1);
  }
  if (rest !== '' || parts.length === 0) parts.push(rest);
  return parts;
}

export function readReference(text: string, roots = ROOTS): Reference {
  const match = REFERENCE.exec(text);
  const path = match?.[1]?.split('.') ?? [];
  if (match === null || !roots.includes(path[0] ?? ''))
    throw new TypeError(`{${text}} is no reference; they begin with one of ${roots.join(', ')}`);
  const fallback = match[2];
  if (fallback === undefined) return { path };
  try {
    const value = JSON.parse(fallback.replace(/^'(.*)'$/s, '"$1"')) as Reference['fallback'];
    if (typeof value === 'object' && value !== null) throw new TypeError('no scalar');
    return { path, fallback: value as string | number | boolean | null };
  } catch {
    throw new TypeError(`what stands behind ?? in {${text}} is no text in quotes, number, true, false or null`);
  }
}

export function readValue(value: unknown, roots = ROOTS): ValueTemplate {
  if (typeof value === 'string') return { kind: 'template', template: readTemplate(value, roots) };
  if (Array.isArray(value)) return { kind: 'list', items: value.map((each) => readValue(each, roots)) };
  if (typeof value === 'object' && value !== null)
    return {
      kind: 'object',
      members: Object.entries(value).map(([name, each]) => [name, readValue(each, roots)] as const),
    };
  return { kind: 'literal', value: value as number | boolean | null };
}

/** Every reference of templates, for the order of parts and for checks. */
export function* referencesOf(value: Template | ValueTemplate | null): Generator<Reference> {
  if (value === null) return;
  if (Array.isArray(value)) {
    for (const each of value as Template) if (typeof each !== 'string') yield each;
    return;
  }
  const tree = value as ValueTemplate;
  if (tree.kind === 'template') yield* referencesOf(tree.template);
  else if (tree.kind === 'list') for (const item of tree.items) yield* referencesOf(item);
  else if (tree.kind === 'object') for (const [, member] of tree.members) yield* referencesOf(member);
}

/** Undefined when it is not there. Own members only; lists by index. */
export function lookUp(reference: Reference, values: Values): unknown {
  const value = find(reference.path, values);
  return value === undefined || value === null ? (reference.fallback ?? value) : value;
}

function find(path: readonly string[], values: Values): unknown {
  const [root = '', ...steps] = path;
  if (root === 'headers') return values.header(steps.join('.').toLowerCase()) ?? undefined;
  let value: unknown = values[root as Exclude<keyof Values, 'header'>];
  for (const step of steps) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}

/** The path of a part's request: each value is one segment and cannot climb out of it. Throws a `MissingValue`. */
export function pathText(template: Template, values: Values): string {
  let text = '';
  for (const each of template) {
    if (typeof each === 'string') text += each;
    else {
      const segment = scalarText(each, values);
      const isPath = !text.includes('?');
      if (isPath && (segment === '' || segment === '.' || segment === '..'))
        throw new MissingValue(each, 'a name for a path');
      text += encodeURIComponent(segment);
    }
  }
  return text;
}

/** For queries and header fields. Undefined when the template is one reference without value: left out. */
export function scalarOf(template: Template, values: Values): string | undefined {
  const [only] = template;
  if (template.length === 1 && typeof only === 'object') {
    const value = lookUp(only, values);
    return value === undefined || value === null ? undefined : scalarText(only, values);
  }
  return template.map((each) => (typeof each === 'string' ? each : scalarText(each, values))).join('');
}

function scalarText(reference: Reference, values: Values): string {
  const value = lookUp(reference, values);
  if (typeof value === 'string' && value.isWellFormed()) return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new MissingValue(reference, value === undefined || value === null ? 'there' : 'a text, number or switch');
}

/** JSON with the values in place; a member without value is left out. */
export function valueOfTemplate(tree: ValueTemplate, values: Values): unknown {
  switch (tree.kind) {
    case 'literal':
      return tree.value;
    case 'list':
      return tree.items.map((item) => valueOfTemplate(item, values) ?? null);
    case 'object': {
      const result: Record<string, unknown> = {};
      for (const [name, member] of tree.members) {
        const value = valueOfTemplate(member, values);
        if (value !== undefined) Object.defineProperty(result, name, { value, enumerable: true });
      }
      return result;
    }
    case 'template': {
      const [only] = tree.template;
      if (tree.template.length === 1 && typeof only === 'object') return lookUp(only, values);
      return scalarOf(tree.template, values);
    }
  }
}

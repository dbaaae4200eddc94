/**
 * What `transform` makes of one JSON value. First what the caller may not see is taken out, so that nothing that
 * follows can bring it back; then select, pick, omit, rename, set, envelope.
 */

import type { ValueTemplate } from '../contract/aggregate.ts';
import type { ReshapeSettings, Visibility } from '../contract/transform.ts';
import { MissingValue, type Values, valueOfTemplate } from './expression.ts';
import { FieldTree, omitted, picked, putAt, renamed } from './field-tree.ts';

/** What templates look into, beside `body`. */
export type TransformValues = Omit<Values, 'parts' | 'item' | 'body'>;

/** Throws a `TypeError` where a select fails: it is about this body. */
export type Reshape = (value: unknown, values: TransformValues) => unknown;

/** Evaluates a JMESPath expression. */
export type Search = (body: unknown, expression: string) => unknown;

/** Loaded only where there is a `select`. */
export async function loadSearch(): Promise<Search> {
  const { default: jmespath } = await import('jmespath');
  return (body, expression) => jmespath.search(body, expression);
}

/** `search` may be null where there is no `select`. */
export function compileReshape(settings: ReshapeSettings, search: Search | null): Reshape {
  const { select, set, envelope } = settings;
  const pick = settings.pick === null ? null : FieldTree.of(settings.pick);
  const omit = settings.omit.length === 0 ? null : FieldTree.of(settings.omit);
  const rename = settings.rename.length === 0 ? null : FieldTree.renaming(settings.rename);
  return (value, values) => {
    let body = value;
    if (select !== null) body = selected(body, select, search!);
    if (pick !== null) body = picked(body, pick) ?? null;
    if (omit !== null) body = omitted(body, omit) ?? null;
    if (rename !== null) body = renamed(body, rename);
    for (const [path, template] of set) {
      const made = madeOf(template, values, body);
      if (made !== undefined) putAt(body, path, made);
    }
    return envelope === null ? body : (madeOf(envelope, values, body) ?? null);
  };
}

function selected(body: unknown, expression: string, search: Search): unknown {
  try {
    return search(body, expression) ?? null;
  } catch (error) {
    throw new TypeError(`select: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Undefined where a value that it cannot do without is not there. */
export function madeOf(template: ValueTemplate, values: TransformValues, body: unknown): unknown {
  try {
    return valueOfTemplate(template, { ...values, header: values.header, body, parts: {} });
  } catch (error) {
    if (error instanceof MissingValue) return undefined;
    throw error;
  }
}

/** The value as a caller with these roles may see it. */
export type Veil = (value: unknown, roles: readonly string[]) => unknown;

export function compileVeil({ hide, show }: Visibility): Veil {
  const hidden = hide.map(({ fields, except }) => ({ tree: FieldTree.of(fields), except }));
  const shown = show?.map(({ fields, roles }) => ({ tree: FieldTree.of(fields), roles })) ?? null;
  return (value, roles) => {
    let body = value;
    for (const { tree, except } of hidden)
      if (!except.some((role) => roles.includes(role))) body = omitted(body, tree) ?? null;
    if (shown === null) return body;
    const entry = shown.find((each) => each.roles === null || each.roles.some((role) => roles.includes(role)));
    return entry === undefined ? null : (picked(body, entry.tree) ?? null);
  };
}

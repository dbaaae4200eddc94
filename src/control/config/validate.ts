/**
 * A document as it was written against the schema: the checked document with all defaults, or every problem. Values
 * that came out of the environment are texts; where the schema wants a number or a switch, they are read as one.
 */
import type * as z from 'zod';
import { takeShortBareDurations } from '../../base/zod-units.ts';
import type { KeyPath } from '../../data/contract/options.ts';
import { bareDurationWarnings } from './bare-durations.ts';
import { crossProblems } from './crosschecks.ts';
import { isMismatch, problemsOfIssues } from './issues.ts';
import type { Problem } from './problems.ts';
import type { ConfigDocument } from './schema/document.ts';
import { documentSchema } from './schema/document.ts';
import type { ConfigSource, EnvironmentValue } from './source.ts';
import { isMapping, pathId } from './source.ts';
import { typedValue } from './substitute.ts';

export interface Validation {
  readonly document: ConfigDocument | undefined;
  readonly problems: readonly Problem[];
  /** Keys with a mistake. */
  readonly broken: readonly KeyPath[];
}

export function validate(source: ConfigSource): Validation {
  const written = withoutNotes(source.value ?? {});
  takeShortBareDurations();
  const { value, result } = parseWithEnvironment(written, source);
  const warnings = takeShortBareDurations() === 0 ? [] : bareDurationWarnings(value, source);
  const { problems: cross, paths } = crossProblems(value, source);
  if (result.success && cross.length === 0)
    return { document: result.data as unknown as ConfigDocument, problems: warnings, broken: [] };
  const issues = result.success ? [] : result.error.issues;
  const worthSaying = issues.filter(
    ({ path }) => !source.environmentValues.get(pathId(path as (string | number)[]))?.isMissing,
  );
  const schema = problemsOfIssues(worthSaying, source, value);
  return {
    document: undefined,
    problems: [...schema, ...cross, ...warnings],
    broken: [...issues.flatMap(keysOf), ...paths],
  };
}

/** Top-level keys that begin with `x-` belong to people: notes, and anchors for YAML's aliases. */
function withoutNotes(value: unknown): unknown {
  if (!isMapping(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith('x-')));
}

function keysOf(issue: z.core.$ZodIssue): KeyPath[] {
  const path = issue.path as (string | number)[];
  return issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...path, key]) : [path];
}

type ParseResult = z.ZodSafeParseResult<unknown>;

function parseWithEnvironment(value: unknown, source: ConfigSource): { value: unknown; result: ParseResult } {
  const first: ParseResult = documentSchema.safeParse(value);
  if (first.success) return { value, result: first };
  const candidates = unfit(first, [...source.environmentValues.values()]).filter(
    ({ whole }) => whole !== undefined && typedValue(whole) !== undefined,
  );
  if (candidates.length === 0) return { value, result: first };
  const second = documentSchema.safeParse(retyped(value, candidates));
  // What is no number or switch after all is reported as the text that it is.
  const refused = new Set(unfit(second, candidates, isMismatch));
  const kept = candidates.filter((candidate) => !refused.has(candidate));
  const final = retyped(value, kept);
  return { value: final, result: documentSchema.safeParse(final) };
}

/** Those of the values that the result complains about, in the way that is asked for. */
function unfit(
  result: ParseResult,
  values: readonly EnvironmentValue[],
  counts: (issue: z.core.$ZodIssue) => boolean = () => true,
): EnvironmentValue[] {
  if (result.success) return [];
  const places = new Set<string>();
  const note = (issue: z.core.$ZodIssue, base: readonly PropertyKey[]): void => {
    const path = [...base, ...issue.path];
    if (counts({ ...issue, path: [] })) places.add(pathId(path as (string | number)[]));
    // The branches of a union may complain further inside.
    if (issue.code === 'invalid_union') {
      for (const inner of issue.errors.flat()) if (inner.path.length > 0) note(inner, path);
    }
  };
  for (const issue of result.error.issues) note(issue, []);
  return values.filter(({ path }) => places.has(pathId(path)));
}

function retyped(value: unknown, entries: readonly EnvironmentValue[]): unknown {
  let result = value;
  for (const { path, whole } of entries) result = replaceAt(result, path, typedValue(whole ?? ''));
  return result;
}

function replaceAt(value: unknown, path: readonly (string | number)[], wanted: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return wanted;
  if (Array.isArray(value)) return value.map((item, index) => (index === key ? replaceAt(item, rest, wanted) : item));
  if (!isMapping(value)) return value;
  return { ...value, [key]: replaceAt(value[key], rest, wanted) };
}

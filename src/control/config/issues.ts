/**
 * Zod's issues in our words: what is wrong, what was found, what is expected, the nearest right one. Of a union that
 * fails, the branch that the value was meant for is reported. Secrets and values of the environment are never shown.
 */
import type * as z from 'zod';
import type { KeyPath } from '../../data/contract/options.ts';
import { hintFor } from './hints.ts';
import { keysAt, placesOf, schemasAt } from './json-schema.ts';
import { nearest } from './nearest.ts';
import type { Problem } from './problems.ts';
import { formatKey } from './problems.ts';
import { isSecretKey, showValue } from './secrecy.ts';
import type { ConfigSource } from './source.ts';
import { isMapping, pathId } from './source.ts';

type Issue = z.core.$ZodIssue;

/** One thing to say, before it has a place. */
interface Finding {
  readonly path: KeyPath;
  readonly part: 'key' | 'value';
  readonly message: string;
  readonly expected?: string | undefined;
  readonly suggestion?: string | undefined;
  readonly showsValue: boolean;
  /** For a key that is not there: its name. */
  readonly missing?: string;
}

export function problemsOfIssues(issues: readonly Issue[], source: ConfigSource, value: unknown): Problem[] {
  const findings = withoutFollowers(issues)
    .flatMap((issue) => findingsOf(issue, [], value))
    .map((finding) => hinted(finding, value));
  const suggested = new Set(
    findings.flatMap(({ path, suggestion, part }) =>
      part === 'key' && suggestion !== undefined ? [pathId([...path.slice(0, -1), suggestion])] : [],
    ),
  );
  // "unknown key retrys, did you mean retries" and "retries is missing" are one mistake.
  return findings
    .filter((finding) => finding.missing === undefined || !suggested.has(pathId([...finding.path, finding.missing])))
    .map((finding) => toProblem(finding, source, value));
}

/** With what to write, where there is a hint. */
function hinted(finding: Finding, root: unknown): Finding {
  const { path, part, missing } = finding;
  if (missing !== undefined) return finding;
  const isKey = part === 'key';
  const hint = hintFor({
    path: isKey ? path.slice(0, -1) : path,
    key: isKey ? String(path.at(-1)) : null,
    value: valueAt(root, path),
  });
  if (hint === undefined) return finding;
  // It says where the key belongs better than a list of places with such a key.
  return { ...finding, ...hint, message: finding.message.replace(/ \(there is .*\)$/, '') };
}

/** A list where a text belongs is also "too short": what follows from a wrong type is not said. */
function withoutFollowers(issues: readonly Issue[]): Issue[] {
  const id = (issue: Issue): string => pathId(issue.path as (string | number)[]);
  const wrong = new Set(issues.filter(({ code }) => code === 'invalid_type').map(id));
  return issues.filter((issue) => (issue.code !== 'too_small' && issue.code !== 'too_big') || !wrong.has(id(issue)));
}

function toProblem(finding: Finding, source: ConfigSource, root: unknown): Problem {
  const { path, part, message, expected, suggestion } = finding;
  // What is unknown is named in the message; the key before it is where it stands.
  const keyPath = part === 'key' ? path.slice(0, -1) : path;
  return {
    severity: 'error',
    ...source.place(path, finding.missing === undefined ? part : 'key'),
    key: formatKey(keyPath),
    message,
    ...(finding.showsValue ? { got: shown(path, source, root) } : {}),
    ...(expected === undefined ? {} : { expected }),
    ...(suggestion === undefined ? {} : { suggestion }),
  };
}

/** The value at a key, or why it is not shown. */
export function shown(path: KeyPath, source: ConfigSource, root: unknown): string {
  const value = valueAt(root, path);
  const origin = source.environmentValues.get(pathId(path));
  if (origin !== undefined && !origin.isDeclared) return `the value of ${origin.variables.join(' and ')}`;
  if (value !== null && typeof value === 'object') return showValue(value);
  if (isSecretKey(path) || schemasAt(path).some((schema) => schema.writeOnly === true)) return 'a secret';
  return showValue(value);
}

function valueAt(root: unknown, path: KeyPath): unknown {
  let value: unknown = root;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}

function findingsOf(issue: Issue, base: KeyPath, root: unknown): Finding[] {
  const path: KeyPath = [...base, ...(issue.path as (string | number)[])];
  const simple = (message: string, expected?: string, suggestion?: string): Finding[] => [
    { path, part: 'value', message, expected, suggestion, showsValue: true },
  ];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey([...path, key]));
    case 'invalid_key': {
      const message = issue.issues[0]?.message ?? 'is not a possible name';
      return [{ path, part: 'key', message: `${JSON.stringify(path.at(-1))} ${message}`, showsValue: false }];
    }
    case 'invalid_union':
      return unionFindings(issue, path, root);
    case 'invalid_type': {
      if (valueAt(root, path) !== undefined) return simple('wrong type', typeWords(issue.expected, path));
      return missingKey(path);
    }
    case 'invalid_value': {
      const known = issue.values.map(String);
      const value = valueAt(root, path);
      if (value === undefined)
        return [{ path, part: 'value', message: 'is missing', expected: listWords(known), showsValue: false }];
      return simple(
        'not a possible value',
        listWords(known),
        typeof value === 'string' ? nearest(value, known) : undefined,
      );
    }
    case 'too_small':
      return simple(`too ${sizeWord(issue.origin, 'small')}`, boundWords('at least', issue.origin, issue.minimum));
    case 'too_big':
      return simple(`too ${sizeWord(issue.origin, 'big')}`, boundWords('at most', issue.origin, issue.maximum));
    case 'custom': {
      const expected: unknown = issue.params?.['expected'];
      const value = valueAt(root, path);
      return [
        {
          path,
          part: 'value',
          message: issue.message,
          expected: typeof expected === 'string' ? expected : undefined,
          // That it is a mapping is not what is wrong with it.
          showsValue: typeof value !== 'object' || issue.message === 'wrong type',
        },
      ];
    }
    default:
      return simple(issue.message.startsWith('Invalid') ? 'not a possible value' : issue.message);
  }
}

function missingKey(path: KeyPath): Finding[] {
  const missing = path.at(-1);
  if (typeof missing !== 'string') return [{ path, part: 'value', message: 'is missing', showsValue: false }];
  const message = `the key ${JSON.stringify(missing)} is missing`;
  return [{ path: path.slice(0, -1), part: 'value', message, showsValue: false, missing }];
}

function unknownKey(path: KeyPath): Finding {
  const key = String(path.at(-1));
  const quoted = JSON.stringify(key);
  const finding = { path, part: 'key' as const, showsValue: false };
  const suggestion = nearest(key, keysAt(path.slice(0, -1)));
  if (suggestion !== undefined) return { ...finding, message: `unknown key ${quoted}`, suggestion };
  const elsewhere = placesOf(key);
  if (elsewhere.length === 0) return { ...finding, message: `unknown key ${quoted}` };
  const places = elsewhere.map((place) => (place === key ? `${key} at the top of the document` : place));
  return { ...finding, message: `unknown key ${quoted} (there is ${places.join(', and ')})` };
}

type UnionIssue = Extract<Issue, { readonly code: 'invalid_union' }>;

function unionFindings(issue: UnionIssue, path: KeyPath, root: unknown): Finding[] {
  const value = valueAt(root, path);
  if (issue.errors.length === 0) {
    // A discriminated union without a branch for what the value says it is.
    const known = alternativesAt(path);
    const suggestion = typeof value === 'string' ? nearest(value, known) : undefined;
    if (value === undefined)
      return [{ path, part: 'value', message: 'is missing', expected: listWords(known), showsValue: false }];
    return [
      {
        path,
        part: 'value',
        message: 'not a possible value',
        expected: listWords(known),
        suggestion,
        showsValue: true,
      },
    ];
  }
  if (value === undefined) return missingKey(path);
  const meant = issue.errors.filter((branch) => !branch.some(isMismatch)).sort((a, b) => a.length - b.length);
  const [best, second] = meant;
  if (best !== undefined && second !== undefined && isMapping(value) && second.length === best.length) {
    return formOfMapping(best, path, root);
  }
  if (best !== undefined) return best.flatMap((inner) => findingsOf(inner, path, root));
  const expectations = issue.errors.flatMap((branch) =>
    branch
      .filter(isMismatch)
      .slice(0, 1)
      .flatMap((inner) => findingsOf(inner, path, root)),
  );
  const words = [...new Set(expectations.map(({ expected }) => expected).filter((text) => text !== undefined))];
  const suggestion = expectations.find((finding) => finding.suggestion !== undefined)?.suggestion;
  const message = isMapping(value) || Array.isArray(value) ? 'wrong type' : 'not a possible value';
  return [{ path, part: 'value', message, expected: words.join(', or '), suggestion, showsValue: true }];
}

/** Several mappings are possible and none is meant more than the others. */
function formOfMapping(branch: readonly Issue[], path: KeyPath, root: unknown): Finding[] {
  const unknown = branch
    .filter(({ code }) => code === 'unrecognized_keys')
    .flatMap((issue) => findingsOf(issue, path, root));
  const expected = listWords(keysAt(path));
  if (unknown.length > 0)
    return unknown.map((finding) => (finding.suggestion === undefined ? { ...finding, expected } : finding));
  return [{ path, part: 'value', message: 'needs another key', expected, showsValue: false }];
}

/** The value is of another kind than what is wanted: of a union, the branch was not meant. */
export function isMismatch(issue: Issue): boolean {
  if (issue.path.length > 0) return false;
  if (issue.code === 'invalid_union')
    return issue.errors.length > 0 && issue.errors.every((branch) => branch.some(isMismatch));
  if (issue.code === 'custom') return issue.message === 'wrong type';
  return issue.code === 'invalid_type' || issue.code === 'invalid_value';
}

/** The constants that a key may be. */
function alternativesAt(path: KeyPath): string[] {
  const values = schemasAt(path).flatMap((schema) => [
    ...(schema.const === undefined ? [] : [schema.const]),
    ...(schema.enum ?? []),
  ]);
  return [...new Set(values.map(String))];
}

function listWords(values: readonly string[]): string {
  return values.length === 1 ? (values[0] ?? '') : `one of ${values.join(', ')}`;
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
};

function typeWords(expected: string, path: KeyPath): string {
  // Of a text where a whole number belongs, zod says only that it is no number.
  const kinds = schemasAt(path).map(({ type }) => type);
  if (expected === 'number' && kinds.includes('integer') && !kinds.includes('number')) return 'a whole number';
  return TYPE_WORDS[expected] ?? expected;
}

function sizeWord(origin: string, which: 'small' | 'big'): string {
  if (origin === 'string') return which === 'small' ? 'short' : 'long';
  if (origin === 'array' || origin === 'set' || origin === 'map') return which === 'small' ? 'few' : 'many';
  return which === 'small' ? 'small' : 'large';
}

function boundWords(bound: string, origin: string, limit: number | bigint): string {
  if (origin === 'string') return `${bound} ${limit} character${limit === 1 ? '' : 's'}`;
  if (origin === 'array') return `${bound} ${limit} ${limit === 1 ? 'entry' : 'entries'}`;
  return `${bound} ${limit}`;
}

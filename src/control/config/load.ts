/**
 * From a file, or from an object of the embedding program, to a checked document: read, substitute, put the environment
 * variables in, check. Reports all mistakes at once and never throws because of a document. What crosses threads
 * is made of the result by compile.ts.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { readFailure } from '../../base/read-failure.ts';
import type { Given } from './build-order.ts';
import { fileKind } from './files.ts';
import type { LoadedConfig } from './loaded-config.ts';
import { moduleSource } from './module-source.ts';
import type { Problem } from './problems.ts';
import { hasErrors, sortProblems } from './problems.ts';
import { problemsOfRest } from './rest.ts';
import type { Environment, SourceResult } from './source.ts';
import { isMapping, valueSource } from './source.ts';
import { textSource } from './text-source.ts';
import { validate } from './validate.ts';
import { withVariables } from './variables.ts';

export type { LoadedConfig } from './loaded-config.ts';

export interface LoadOptions {
  /** Path of the file; relative to `cwd`. */
  readonly file?: string;
  /** The document itself, instead of a file. */
  readonly document?: unknown;
  /** Environment variables; default none, so that what a test reads is what it says. */
  readonly env?: Environment;
  /** Default: the working directory of the process. */
  readonly cwd?: string;
}

export type LoadResult =
  | { readonly ok: true; readonly config: LoadedConfig }
  | { readonly ok: false; readonly problems: readonly Problem[] };

export async function loadConfig(options: LoadOptions): Promise<LoadResult> {
  const { env, file } = placeOf(options);
  if (file !== null) return checked(await readSource(file, options.file ?? file, env), options);
  const source = valueSource(options.document);
  return checked({ source, problems: [], text: () => JSON.stringify(options.document, null, 2), files: [] }, options);
}

/** A text as if it stood in the file of `options`, or, without a file, as the document itself (YAML or JSON). */
export async function loadText(text: string, options: LoadOptions): Promise<LoadResult> {
  const { env, file } = placeOf(options);
  const name = options.file ?? 'configuration';
  const kind = file === null ? 'yaml' : fileKind(file);
  const read =
    kind === undefined || kind === 'module'
      ? refused(name, 'a text can be checked for YAML and JSON configurations only')
      : { ...textSource(text, name, kind, env), text: () => text, files: [] };
  return checked(read, options);
}

/** What the program that is the file of `options`, or the embedding one, gave before. */
export async function loadGiven({ value, text, files }: Given, options: LoadOptions): Promise<LoadResult> {
  const source = valueSource(value, options.file ?? null);
  return checked({ source, problems: [], text: () => text, files }, options);
}

/** A source with what else is known of where it was read. */
interface ReadSource extends SourceResult {
  readonly text: () => string;
  /** Further files that were read, absolute. */
  readonly files: readonly string[];
}

function placeOf({ env = {}, cwd = process.cwd(), file }: LoadOptions) {
  return { env, cwd, file: file === undefined ? null : resolve(cwd, file) };
}

function checked(read: ReadSource, options: LoadOptions): LoadResult {
  const { env, cwd, file } = placeOf(options);
  if (read.source === undefined) return { ok: false, problems: sortProblems(read.problems) };
  if (file !== null && isEmpty(read.source.value)) return { ok: false, problems: [emptyFile(options.file ?? file)] };
  const source = withVariables(read.source, env);
  const { document, problems, broken } = validate(source);
  const all = sortProblems([...read.problems, ...problems]);
  const baseDir = file === null ? cwd : dirname(file);
  const about = { source, env, file, baseDir, problems: all, files: read.files, text: read.text() };
  if (document !== undefined && !hasErrors(all)) return { ok: true, config: { document, ...about } };
  const missing = [...source.environmentValues.values()].flatMap(({ isMissing, path }) => (isMissing ? [path] : []));
  return { ok: false, problems: sortProblems([...all, ...problemsOfRest(about, [...broken, ...missing])]) };
}

/** An empty file, or one of comments: mostly one that is being written, and never meant to run. */
function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || (isMapping(value) && Object.keys(value).length === 0);
}

const emptyFile = (file: string): Problem => ({
  severity: 'error',
  file,
  line: 1,
  column: 1,
  key: '',
  message: 'the file holds no configuration',
  expected: 'at least one key, such as routes: []',
});

function refused(file: string, message: string, expected?: string): ReadSource {
  const more = expected === undefined ? {} : { expected };
  const problem: Problem = { severity: 'error', file, line: null, column: null, key: '', message, ...more };
  return { source: undefined, problems: [problem], text: () => '', files: [] };
}

async function readSource(path: string, name: string, env: Environment): Promise<ReadSource> {
  const kind = fileKind(path);
  if (kind === undefined)
    return refused(name, 'the kind of the file is not known', '.yaml, .yml, .json, .ts, .mts, .js or .mjs');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (error) {
    return refused(name, `the file cannot be read: ${readFailure(error)}`);
  }
  // A module is read by Node; its text is for the history only.
  const read = kind === 'module' ? await moduleSource(path, name, env) : textSource(text, name, kind, env);
  return { files: [], ...read, text: () => text };
}

/**
 * A configuration document before it is checked: plain values, and for each key where it was written. Made by
 * text-source.ts (YAML, JSON), module-source.ts (TypeScript, JavaScript) or `valueSource` (an object from the embedding
 * program); everything behind it is the same for all.
 */
import type { KeyPath } from '../../data/contract/options.ts';
import type { Place, Problem } from './problems.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** A value that came out of the environment: it may stand for a number, and no message shows it. */
export interface EnvironmentValue {
  readonly path: KeyPath;
  readonly variables: readonly string[];
  /** Undefined when it is a part of a longer text. */
  readonly whole: string | undefined;
  /** A variable, or an anchor, is missing, which has been said: nothing else at this key is worth saying. */
  readonly isMissing: boolean;
  /** From a variable that stands for this very key (variables.ts), so that the key tells whether it is a secret. */
  readonly isDeclared: boolean;
}

export interface ConfigSource {
  readonly file: string | null;
  readonly value: unknown;
  /** By `pathId`. */
  readonly environmentValues: ReadonlyMap<string, EnvironmentValue>;
  /** The place of a key or of its value; of the nearest thing around it when it is not there itself. */
  place(path: KeyPath, part: 'key' | 'value'): Place;
}

export interface SourceResult {
  /** Undefined when nothing can be made of the document. */
  readonly source: ConfigSource | undefined;
  readonly problems: readonly Problem[];
  /** Further files that were read, absolute; absent for none. */
  readonly files?: readonly string[];
}

export function pathId(path: KeyPath): string {
  return JSON.stringify(path);
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A document without a file, or from a file that has values but no places. */
export function valueSource(value: unknown, file: string | null = null): ConfigSource {
  const place: Place = { file, line: null, column: null };
  return { file, value, environmentValues: new Map(), place: () => place };
}

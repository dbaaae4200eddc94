/**
 * What a fuzz target is: a name, sound inputs to damage, and a function that throws when something that must always
 * hold does not. It returns a word for what the input led to, so that the runner can tell new behaviour from old.
 */
import { readdirSync, readFileSync } from 'node:fs';

export interface FuzzTarget {
  readonly name: string;
  /** Latin-1. */
  readonly seeds: readonly string[];
  check(input: string): string;
}

const FOLDER = new URL('../corpus/', import.meta.url);

/** The kept inputs of one target: files named `TARGET-anything`. */
export function corpus(name: string): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.startsWith(`${name}-`))
    .sort()
    .map((file) => readFileSync(new URL(file, FOLDER), 'latin1'));
}

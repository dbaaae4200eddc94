/**
 * One thing that is wrong with a request or a response: where, what was there, what was expected. Error bodies carry a
 * list of these in every format (base/error-body.ts).
 */
import type { FieldError } from '../../base/error-body.ts';

export interface Violation {
  /** JSON Pointer into a body (`/items/0/price`, `` for all of it), or a parameter with its place (`query.limit`). */
  readonly field: string;
  /**
   * As it was sent, long texts cut; `a list` or `an object` for those. Absent when nothing was there or it must not be
   * shown.
   */
  readonly value?: string | number | boolean | null;
  /** What would be right, such as `a string` or `at most 5 items`. */
  readonly expected: string;
  /** Message of the whole response, where the schema has one (`x-message`). */
  readonly message?: string;
}

const MAX_VALUE = 80;
/** What its sender may see must still not reach a log or a screen. */
const SECRET_NAME = /pass(word|phrase|wd)|secret|token|api_?key|authorization|card_?number|cvv|pin$/i;

/** A value as a violation may show it. Undefined is not shown. */
function shownValue(field: string, value: unknown): Violation['value'] {
  if (value === undefined || SECRET_NAME.test(field)) return undefined;
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  if (typeof value !== 'string') return value as number | boolean | null;
  return value.length > MAX_VALUE ? `${value.slice(0, MAX_VALUE - 1)}…` : value;
}

export function violation(field: string, value: unknown, expected: string, message?: string): Violation {
  const shown = shownValue(field, value);
  return {
    field,
    ...(shown === undefined ? {} : { value: shown }),
    expected,
    ...(message === undefined ? {} : { message }),
  };
}

/** A response about what is wrong must not be many times as long as the request. */
const MOST_SHOWN = 64;

/** The body as a whole has no name in a pointer; people need one. */
export function fieldErrors(violations: readonly Violation[]): FieldError[] {
  return violations
    .slice(0, MOST_SHOWN)
    .map(({ message: _, ...each }) => (each.field === '' ? { ...each, field: 'body' } : each));
}

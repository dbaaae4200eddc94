/**
 * Regular expressions of other gateways, which are searched for or anchored at one side, as expressions that match a
 * whole path, as ours do. What cannot be said exactly is not said at all: a guard that misses a path is no guard.
 */
import { wholeRegex } from '../../base/safe-regex.ts';

/** Why it may not stand in a route of ours; undefined when it may. */
export function regexProblem(source: string): string | undefined {
  try {
    wholeRegex(source);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

export type Whole = { readonly regex: string } | { readonly problem: string };

export interface Reading {
  /** It is searched for anywhere in the path, else it begins where the path does. */
  readonly isSearched: boolean;
  readonly isCaseless: boolean;
  /** Matches more than it says where that cannot be said here; right for what is refused anyway. */
  readonly widely?: boolean;
}

/** Takes whatever is left, also in expressions that are judged by `safe-regex.ts`. */
const REST = '[\\s\\S]*';

export function wholePath(written: string, { isSearched, isCaseless, widely = false }: Reading): Whole {
  const flagged = /^\(\?i\)/.test(written);
  let expression = (flagged ? written.slice(4) : written).replaceAll('(?P<', '(?<');
  if (widely) expression = expression.replace(/\(\?<?!(?:\\.|\[(?:\\.|[^\]\\])*\]|[^()\\[])*\)/g, '');
  const ends = alternatives(expression).map((text) => {
    const isBegun = text.startsWith('^');
    const isClosed = /(?:^|[^\\])(?:\\\\)*\$$/.test(text);
    const middle = text.slice(isBegun ? 1 : 0, isClosed ? -1 : undefined);
    // `.*` at either end says what no anchor says; twice, it would take quadratic time.
    const within = isBegun || !isSearched ? middle : middle.replace(/^(?:\.\*\??)+/, '');
    const open = within.replace(/(?<!\\)(\.)(?:\*\??|(\+)\??)$/, (_, dot: string, plus?: string) => (plus ? dot : ''));
    return { isBegun, isEnded: isClosed && open === within, middle: open };
  });
  if (ends.some(({ middle }) => hasAnchor(middle))) return { problem: '^ or $ stands inside of it' };
  const isEnded = ends.every((each) => each.isEnded);
  if (!isEnded && !widely && ends.some((each) => each.isEnded))
    return { problem: 'only some of its alternatives end with $' };
  const each = ends.map(({ isBegun, middle }) => `${isBegun || !isSearched ? '' : '.*'}${middle}`);
  const all = each.length === 1 ? each[0]! : `(?:${each.join('|')})`;
  const regex = `${isCaseless || flagged ? caseless(all) : all}${isEnded ? '' : REST}`;
  const problem = regexProblem(regex);
  return problem === undefined ? { regex } : { problem };
}

/** What every path that it matches begins with, as far as it is plain, also where the expression is not taken here. */
export function beginningOf(expression: string): string {
  const text = expression.replace(/^\^/, '');
  if (alternatives(text).length > 1) return '';
  const plain = /^(?:[\w/%~!@&=,;:'-]|\\[./-])*/.exec(text)?.[0] ?? '';
  const rest = text.slice(plain.length);
  return (/^[?*{]/.test(rest) ? plain.replace(/\\?.$/, '') : plain).replaceAll('\\', '');
}

/** A text as an expression that matches it. */
export function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, (letter) => (letter === '/' ? letter : `\\${letter}`));
}

/** Escapes, classes and single characters, each whole. */
const PIECES = /\\[\s\S]|\[\^?\]?(?:\\[\s\S]|\[:\w+:\]|[^\]\\])*\]|[\s\S]/g;

/** What `|` parts outside of all groups. */
function alternatives(expression: string): string[] {
  const found = [''];
  let depth = 0;
  for (const piece of expression.match(PIECES) ?? []) {
    if (piece === '(') depth++;
    if (piece === ')') depth--;
    if (piece === '|' && depth === 0) found.push('');
    else found[found.length - 1] += piece;
  }
  return found;
}

function hasAnchor(expression: string): boolean {
  return (expression.match(PIECES) ?? []).some((piece) => /^(?:[\^$]|\\[AzZGbB])$/.test(piece));
}

/** `php` as `[pP][hH][pP]`, classes with both cases; escapes and names of groups stay. */
export function caseless(expression: string): string {
  return expression.replace(/\(\?<\w+>|\\[\s\S]|\[(?:\\[\s\S]|[^\]\\])*\]|[A-Za-z]/g, (part) => {
    if (part.startsWith('\\') || part.startsWith('(')) return part;
    if (!part.startsWith('[')) return `[${part.toLowerCase()}${part.toUpperCase()}]`;
    const content = part.slice(1, -1).replace(/^\^/, '');
    const other = content.replace(/\\.|[A-Za-z]/g, (each) =>
      each.startsWith('\\') ? '' : each === each.toLowerCase() ? each.toUpperCase() : each.toLowerCase(),
    );
    return `[${part.startsWith('[^') ? '^' : ''}${content}${other}]`;
  });
}

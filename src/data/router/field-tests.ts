/**
 * Conditions of a route on header fields and query parameters, compiled once. Regular expressions must match a whole
 * value. A header field that comes several times is one value, joined with `, `.
 *
 * Query parameters are compared decoded (`+` and `%XX`), because that is how services read them: otherwise `?a=%31`
 * would pass by a route that guards `?a=1`. Of a parameter that comes several times, any may fulfil the condition:
 * services differ in which one they take.
 */
import { wholeRegex } from '../../base/safe-regex.ts';
import type { FieldMatch } from '../contract/snapshot.ts';
import type { RouterRequest } from './match-result.ts';

export interface FieldTest {
  readonly name: string;
  readonly kind: 'equals' | 'regex' | 'present' | 'absent';
  readonly text: string;
  readonly regex: RegExp | null;
}

/** Throws a TypeError on a regular expression that is none or could be made slow. */
export function compileFieldTests(matches: readonly FieldMatch[]): readonly FieldTest[] {
  return matches.map(({ name, test }) => {
    if ('equals' in test) return { name, kind: 'equals', text: test.equals, regex: null };
    if ('regex' in test) return { name, kind: 'regex', text: test.regex, regex: wholeRegex(test.regex) };
    return { name, kind: test.present ? 'present' : 'absent', text: '', regex: null };
  });
}

export function headersPass(tests: readonly FieldTest[], request: RouterRequest): boolean {
  for (let i = 0; i < tests.length; i++) if (!headerPasses(tests[i]!, request)) return false;
  return true;
}

export function headerPasses(test: FieldTest, request: RouterRequest): boolean {
  const value = request.header(test.name);
  if (value === null) return test.kind === 'absent';
  return test.kind === 'present' || valuePasses(test, value);
}

export function queryPasses(tests: readonly FieldTest[], query: string): boolean {
  for (let i = 0; i < tests.length; i++) if (!parameterPasses(tests[i]!, query)) return false;
  return true;
}

/** One pass over the query; strings are cut only where a name fits. */
export function parameterPasses(test: FieldTest, query: string): boolean {
  let start = 0;
  let equals = -1;
  let isEncoded = false;
  for (let i = 0; i <= query.length; i++) {
    const code = i < query.length ? query.charCodeAt(i) : AMPERSAND;
    if (code === EQUALS && equals < 0) equals = i;
    else if ((code === PERCENT || code === PLUS) && equals < 0) isEncoded = true;
    else if (code === AMPERSAND) {
      const nameEnd = equals < 0 ? i : equals;
      if (i > start && nameFits(test.name, query, start, nameEnd, isEncoded)) {
        if (test.kind === 'absent') return false;
        if (test.kind === 'present') return true;
        if (valuePasses(test, equals < 0 ? '' : decodeFormValue(query.slice(equals + 1, i)))) return true;
      }
      start = i + 1;
      equals = -1;
      isEncoded = false;
    }
  }
  return test.kind === 'absent';
}

/** `a+b%20c` is `a b c`; what is not UTF-8 stays as it is. */
function decodeFormValue(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text;
  const spaced = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}

function valuePasses(test: FieldTest, value: string): boolean {
  return test.regex === null ? test.kind === 'equals' && value === test.text : test.regex.test(value);
}

function nameFits(name: string, query: string, start: number, end: number, isEncoded: boolean): boolean {
  if (isEncoded) return decodeFormValue(query.slice(start, end)) === name;
  return end - start === name.length && query.startsWith(name, start);
}

const AMPERSAND = 0x26;
const EQUALS = 0x3d;
const PERCENT = 0x25;
const PLUS = 0x2b;

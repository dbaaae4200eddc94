/**
 * The small language of `owns` and `when`: comparisons of what the request says with who is calling, such as
 * `params.userId == auth.sub || params.userId in auth.claims.children`. Compiled once to closures; no `eval`, no loops,
 * no calls, so it ends and cannot reach anything. What is not there equals nothing: every comparison with it is false,
 * so a mistyped claim closes a route and never opens it.
 *
 *   or    := and ('||' and)*          and  := not ('&&' not)*         not := '!' not | test
 *   test  := value (('==' | '!=' | '<' | '<=' | '>' | '>=' | 'in') value)?
 *   value := path | 'text' | "text" | number | true | false | '[' value, ... ']' | '(' or ')'
 */

import type { ClaimPath } from '../../contract/auth.ts';
import type { PolicyContext } from '../../contract/policy.ts';
import { firstClaim } from '../identity.ts';

/** Reads the request; undefined is "not there". */
export type Reader = (exchange: PolicyContext) => unknown;

const MAX_EXPRESSION_LENGTH = 1_000;
const MAX_DEPTH = 32;

/** What is wrong, and from which character on. */
export class ExpressionError extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/** True only for exactly true: a value that is merely there (`auth.claims.owner`) grants nothing. */
export function compileCondition(source: string): (exchange: PolicyContext) => boolean {
  const read = compileReader(source);
  return (exchange) => read(exchange) === true;
}

/** For `ratingFrom` and the like, which want a value. Throws an `ExpressionError`. */
export function compileReader(source: string): Reader {
  if (source.length > MAX_EXPRESSION_LENGTH) {
    throw new ExpressionError(`longer than ${MAX_EXPRESSION_LENGTH} characters`, MAX_EXPRESSION_LENGTH);
  }
  return new Parser(tokenize(source), source.length).parse();
}

/** What is wrong with `source`, or nothing. */
export function expressionProblem(source: string): string | undefined {
  try {
    compileReader(source);
    return undefined;
  } catch (error) {
    if (error instanceof ExpressionError) return `${error.message} at character ${error.at + 1}`;
    throw error;
  }
}

interface Token {
  readonly kind: 'word' | 'text' | 'number' | 'sign' | 'end';
  readonly text: string;
  readonly at: number;
}

const TOKEN =
  /\s+|([A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)*)|'([^'\\]*)'|"([^"\\]*)"|(-?\d+(?:\.\d+)?)|(\|\||&&|==|!=|<=|>=|[<>!()[\],])/y;

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(source);
    if (match === null) throw new ExpressionError(`unexpected ${JSON.stringify(source[at])}`, at);
    const [, word, single, double, number, sign] = match;
    const text = single ?? double;
    if (word !== undefined) tokens.push({ kind: 'word', text: word, at });
    else if (text !== undefined) tokens.push({ kind: 'text', text, at });
    else if (number !== undefined) tokens.push({ kind: 'number', text: number, at });
    else if (sign !== undefined) tokens.push({ kind: 'sign', text: sign, at });
  }
  return tokens;
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #end: number;
  #next = 0;
  #depth = 0;

  constructor(tokens: readonly Token[], end: number) {
    this.#tokens = tokens;
    this.#end = end;
  }

  parse(): Reader {
    const read = this.#or();
    const rest = this.#peek();
    if (rest.kind !== 'end') throw new ExpressionError(`unexpected ${JSON.stringify(rest.text)}`, rest.at);
    return read;
  }

  #peek(): Token {
    return this.#tokens[this.#next] ?? { kind: 'end', text: '', at: this.#end };
  }

  #take(sign: string): boolean {
    const token = this.#peek();
    if (token.kind !== 'sign' || token.text !== sign) return false;
    this.#next++;
    return true;
  }

  #expect(sign: string): void {
    if (!this.#take(sign)) throw new ExpressionError(`expected ${JSON.stringify(sign)}`, this.#peek().at);
  }

  #or(): Reader {
    if (++this.#depth > MAX_DEPTH) throw new ExpressionError('nested too deep', this.#peek().at);
    let left = this.#and();
    while (this.#take('||')) {
      const [first, second] = [left, this.#and()];
      left = (exchange) => first(exchange) === true || second(exchange) === true;
    }
    this.#depth--;
    return left;
  }

  #and(): Reader {
    let left = this.#not();
    while (this.#take('&&')) {
      const [first, second] = [left, this.#not()];
      left = (exchange) => first(exchange) === true && second(exchange) === true;
    }
    return left;
  }

  #not(): Reader {
    let turns = 0;
    while (this.#take('!')) turns++;
    const read = this.#test();
    if (turns === 0) return read;
    return turns % 2 === 1 ? (exchange) => read(exchange) !== true : (exchange) => read(exchange) === true;
  }

  #test(): Reader {
    const left = this.#value();
    const { kind, text } = this.#peek();
    if (kind === 'word' && text === 'in') {
      this.#next++;
      const list = this.#value();
      return (exchange) => isIn(left(exchange), list(exchange));
    }
    const compare = kind === 'sign' ? COMPARISONS[text] : undefined;
    if (compare === undefined) return left;
    this.#next++;
    const right = this.#value();
    return (exchange) => compare(left(exchange), right(exchange));
  }

  #value(): Reader {
    if (this.#take('(')) {
      const read = this.#or();
      this.#expect(')');
      return read;
    }
    if (this.#take('[')) return this.#list();
    const { kind, text, at } = this.#peek();
    this.#next++;
    switch (kind) {
      case 'text':
        return () => text;
      case 'number': {
        const value = Number(text);
        return () => value;
      }
      case 'word':
        if (text === 'true' || text === 'false') return () => text === 'true';
        return pathReader(text, at);
      default:
        throw new ExpressionError(kind === 'end' ? 'a value is missing' : `unexpected ${JSON.stringify(text)}`, at);
    }
  }

  #list(): Reader {
    const items: Reader[] = [];
    do items.push(this.#value());
    while (this.#take(','));
    this.#expect(']');
    return (exchange) => items.map((item) => item(exchange));
  }
}

/** Equal as the types that parameters and claims have: a number in a claim equals its digits in a path. */
function isEqual(a: unknown, b: unknown): boolean {
  if (typeof a === 'string' && typeof b === 'string') return a === b;
  if (typeof a === 'number' && typeof b === 'string') return Number.isFinite(a) && String(a) === b;
  if (typeof a === 'string' && typeof b === 'number') return Number.isFinite(b) && a === String(b);
  return (typeof a === 'number' || typeof a === 'boolean') && a === b;
}

function isIn(value: unknown, list: unknown): boolean {
  return Array.isArray(list) && list.some((entry) => isEqual(value, entry));
}

function isThere(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** Numbers, and texts of digits (parameters are texts); anything else has no order. */
function orderOf(value: unknown): number {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && /^-?\d{1,15}(\.\d{1,9})?$/.test(value) ? Number(value) : Number.NaN;
}

const COMPARISONS: Readonly<Record<string, (a: unknown, b: unknown) => boolean>> = {
  '==': isEqual,
  '!=': (a, b) => isThere(a) && isThere(b) && !isEqual(a, b),
  '<': (a, b) => orderOf(a) < orderOf(b),
  '<=': (a, b) => orderOf(a) <= orderOf(b),
  '>': (a, b) => orderOf(a) > orderOf(b),
  '>=': (a, b) => orderOf(a) >= orderOf(b),
};

const ROOTS = 'params.x, query.x, header.x, request.method, request.path, request.host, request.address or auth.x';

function pathReader(path: string, at: number): Reader {
  const [root = '', ...names] = path.split('.');
  const [name = ''] = names;
  const single = names.length === 1;
  switch (root) {
    case 'params':
      if (single) return ({ params }) => (Object.hasOwn(params, name) ? params[name] : undefined);
      break;
    case 'query':
      if (single) return ({ query }) => onlyValue(query, name);
      break;
    case 'header':
      if (single) {
        const lower = name.toLowerCase();
        return (exchange) => exchange.header(lower) ?? undefined;
      }
      break;
    case 'request':
      if (single && (name === 'method' || name === 'path' || name === 'host' || name === 'address')) {
        return (exchange) => exchange[name];
      }
      break;
    case 'auth':
      return identityReader(names, path, at);
  }
  throw new ExpressionError(`${JSON.stringify(path)} is not known, there are ${ROOTS}`, at);
}

function identityReader(names: readonly string[], path: string, at: number): Reader {
  const [name = '', ...rest] = names;
  if (name === 'claims' && rest.length > 0) {
    // `auth.claims.org.tier` is a claim of this whole name, or a level down.
    const places: ClaimPath[] = rest.length === 1 ? [rest] : [[rest.join('.')], rest];
    return ({ identity }) => (identity === null ? undefined : firstClaim(identity.claims, places));
  }
  if (rest.length === 0) {
    switch (name) {
      case 'sub':
      case 'subject':
        return ({ identity }) => identity?.subject;
      case 'issuer':
        return ({ identity }) => identity?.issuer ?? undefined;
      case 'account':
        return ({ identity }) => identity?.account ?? identity?.subject;
      case 'roles':
        return ({ identity }) => identity?.roles;
      case 'scopes':
        return ({ identity }) => identity?.scopes;
      case 'plan':
        return ({ identity }) => identity?.plan ?? undefined;
      case 'method':
        return ({ identity }) => identity?.method;
    }
  }
  throw new ExpressionError(
    `${JSON.stringify(path)} is not known, there are auth.sub, auth.issuer, auth.account, auth.roles, auth.scopes, auth.plan, auth.method and auth.claims.x`,
    at,
  );
}

/** A parameter that occurs twice has no value that everybody reads alike, so it has none. */
function onlyValue(query: string, name: string): string | undefined {
  if (query === '') return undefined;
  const values = new URLSearchParams(query).getAll(name);
  return values.length === 1 ? values[0] : undefined;
}

/**
 * The route action `aggregate`: its schema, and what it compiles to. The order of parts is derived from what they refer
 * to; a circle, an unknown part and a reference that could never have a value stop the start.
 */
import * as z from 'zod';
import { duration, size } from '../../base/zod-units.ts';
import { expressionProblem } from '../auth/authorize/expression.ts';
import { readReference, readTemplate, readValue, referencesOf } from '../content/expression.ts';
import type { AggregateSettings, PartSettings, Reference, Template, ValueTemplate } from '../contract/aggregate.ts';
import type { ProblemDetail } from '../contract/options.ts';

const FIELD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** The engine writes these. */
const FRAMING = /^(host|content-length|transfer-encoding|connection|te|trailer|upgrade|keep-alive|expect)$/i;
const SAFE = ['GET', 'HEAD', 'OPTIONS'];

const template = (what: string) => z.string().min(1).max(4_096).describe(what);

const part = z.strictObject({
  service: z.string().min(1).max(200).describe('Service that is asked.'),
  path: z
    .string()
    .min(1)
    .max(4_096)
    .regex(/^\/[^\s#]*$/, 'must be a path that begins with /')
    .describe('Path, and query if written, such as `/users/{params.id}`. A value is one segment, percent-encoded.'),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']).prefault('GET').describe('Method of the request.'),
  query: z
    .record(z.string().min(1).max(200), template('Value, such as `{parts.user.body.id}`.'))
    .prefault({})
    .describe('Query parameters. One without value is left out.'),
  headers: z
    .record(
      z
        .string()
        .regex(FIELD, 'must be the name of a header field')
        .refine((name) => !FRAMING.test(name), 'is written by the gateway'),
      template('Value of the field.'),
    )
    .prefault({})
    .describe('Header fields besides those that every request to a service has (identity, request id, forwarding).'),
  body: z.json().optional().describe('JSON to send; texts in it are templates. Default: no body.'),
  when: z
    .string()
    .max(1_000)
    .optional()
    .describe('Condition as in `authorize.when`, such as `auth.plan == "premium"`; otherwise the part is left out.'),
  timeout: duration({ min: 1, max: 300_000 }).optional().describe('Longest wait for this part. Default: what is left.'),
  onFailure: z
    .union([z.enum(['fail', 'omit']), z.strictObject({ default: z.json().describe('Taken instead of its body.') })])
    .prefault('fail')
    .describe('`fail`: the whole response fails with it. `omit`: it is left out and named in `partial`.'),
  forEach: z
    .union([
      z.string().min(1).max(500),
      z.strictObject({
        list: z.string().min(1).max(500).describe('Reference to a list, such as `parts.orders.body.items`.'),
        max: z.int().min(1).max(1_000).prefault(50).describe('Most items; a longer list is a failure of the part.'),
        concurrency: z.int().min(1).max(32).prefault(8).describe('Most requests of this part at once.'),
      }),
    ])
    .optional()
    .describe(
      'Asks once for each item of a list, which templates call `item`; the result is a list in the same order.',
    ),
});

export const aggregateSchema = z
  .strictObject({
    parts: z
      .record(z.string().regex(/^[A-Za-z_][\w-]{0,63}$/, 'must be a name such as user'), part)
      .refine((parts) => Object.keys(parts).length > 0, 'needs a part')
      .refine((parts) => Object.keys(parts).length <= 32, 'has more than 32 parts')
      .describe('The requests, by name. They run at the same time, except that one waits for those that it refers to.'),
    response: z
      .json()
      .optional()
      .describe('The response; texts in it are templates. Default: an object with each part’s body under its name.'),
    timeout: duration({ min: 1, max: 300_000 }).prefault('10s').describe('Longest time for all parts together.'),
    maxPartSize: size({ min: 1, max: 16 * 1024 ** 2 })
      .prefault('1mb')
      .describe('Largest response of a part.'),
    concurrency: z.int().min(1).max(64).prefault(8).describe('Most requests at once.'),
    cookiesFrom: z.array(z.string()).max(32).prefault([]).describe('Parts whose `Set-Cookie` fields pass.'),
    allowSeveralWrites: z
      .boolean()
      .prefault(false)
      .describe(
        'Lets several parts use methods that change something. If one of them fails the others may have had their effect.',
      ),
  })
  .describe('Action: asks several services and answers with what they say, as one JSON document.');

export type AggregateOptions = z.output<typeof aggregateSchema>;
type Complain = (message: string, detail?: ProblemDetail) => void;

/** What is wrong goes to `problem`; the result counts only if nothing was. */
export function compileAggregate(
  options: AggregateOptions,
  params: readonly string[],
  problem: Complain,
): AggregateSettings {
  const names = Object.keys(options.parts);
  const check = new ReferenceCheck(names, params, problem);
  const parts = names.map((name) => compilePart(name, options.parts[name]!, check));
  const response = options.response === undefined ? null : check.value(options.response, ['response'], false);
  for (const [index, name] of options.cookiesFrom.entries())
    if (!names.includes(name))
      problem('there is no such part', { at: ['cookiesFrom', index], got: JSON.stringify(name) });
  const writing = parts.filter(({ method }) => !SAFE.includes(method));
  if (writing.length > 1 && !options.allowSeveralWrites)
    problem(
      `the parts ${writing.map(({ name }) => name).join(' and ')} both change something, and one may fail after the other`,
      {
        at: ['parts'],
        expected: 'one such part, or allowSeveralWrites: true',
      },
    );
  const usesBody = parts.some((each) => bodyIsUsed(each)) || [...referencesOf(response)].some(isBody);
  return {
    parts: ordered(parts, problem),
    response,
    timeoutMs: options.timeout,
    maxPartBytes: options.maxPartSize,
    concurrency: options.concurrency,
    cookiesFrom: options.cookiesFrom,
    readsBody: usesBody,
  };
}

function compilePart(name: string, options: AggregateOptions['parts'][string], check: ReferenceCheck): PartSettings {
  const at = ['parts', name];
  const { forEach, when, onFailure } = options;
  const hasItem = forEach !== undefined;
  const record = (key: 'query' | 'headers') =>
    Object.entries(options[key]).map(
      ([field, text]) => [field, check.template(text, [...at, key, field], hasItem)] as const,
    );
  const list = typeof forEach === 'string' ? { list: forEach, max: 50, concurrency: 8 } : forEach;
  if (when !== undefined) {
    const wrong = expressionProblem(when);
    if (wrong !== undefined) check.complain(wrong, [...at, 'when']);
  }
  const body = options.body === undefined ? null : check.value(options.body, [...at, 'body'], hasItem);
  if (body !== null && SAFE.includes(options.method))
    check.complain(`${options.method} takes no body`, [...at, 'body']);
  const made = {
    name,
    service: options.service,
    method: options.method,
    path: check.template(options.path, [...at, 'path'], hasItem),
    query: record('query'),
    headers: record('headers'),
    body,
    when: when ?? null,
    timeoutMs: options.timeout ?? 300_000,
    onFailure:
      typeof onFailure === 'string' ? { kind: onFailure } : { kind: 'default' as const, value: onFailure.default },
    forEach: list === undefined ? null : { ...list, list: check.reference(list.list, [...at, 'forEach'], false) },
    needs: [] as string[],
  };
  const needs = new Set([...referencesIn(made)].flatMap(({ path }) => (path[0] === 'parts' ? [path[1] ?? ''] : [])));
  return { ...made, needs: [...needs] };
}

type Unordered = Omit<PartSettings, 'needs'>;

function* referencesIn(made: Unordered): Generator<Reference> {
  yield* referencesOf(made.path);
  for (const [, value] of [...made.query, ...made.headers]) yield* referencesOf(value);
  yield* referencesOf(made.body);
  if (made.forEach !== null) yield made.forEach.list;
}

function bodyIsUsed(made: Unordered): boolean {
  return [...referencesIn(made)].some(isBody);
}

function isBody({ path }: Reference): boolean {
  return path[0] === 'request';
}

/** Each behind what it needs; a circle is a problem. */
function ordered(parts: readonly PartSettings[], problem: Complain): PartSettings[] {
  const done: PartSettings[] = [];
  let rest = [...parts];
  while (rest.length > 0) {
    const ready = rest.filter(({ needs }) => needs.every((name) => !rest.some((other) => other.name === name)));
    if (ready.length === 0) {
      problem(`the parts ${rest.map(({ name }) => name).join(', ')} wait for each other`, { at: ['parts'] });
      return [...parts];
    }
    done.push(...ready);
    rest = rest.filter((each) => !ready.includes(each));
  }
  return done;
}

class ReferenceCheck {
  readonly #parts: readonly string[];
  readonly #params: readonly string[];
  readonly #problem: Complain;

  constructor(parts: readonly string[], params: readonly string[], problem: Complain) {
    this.#parts = parts;
    this.#params = params;
    this.#problem = problem;
  }

  complain(message: string, at: readonly string[], expected?: string): void {
    this.#problem(message, { at, ...(expected === undefined ? {} : { expected }) });
  }

  template(text: string, at: readonly string[], hasItem: boolean): Template {
    return this.#read(() => readTemplate(text), [''], at, hasItem);
  }

  value(value: unknown, at: readonly string[], hasItem: boolean): ValueTemplate {
    return this.#read(() => readValue(value), { kind: 'literal', value: null }, at, hasItem);
  }

  reference(text: string, at: readonly string[], hasItem: boolean): Reference {
    const [reference = { path: [] }] = this.#read(
      () => [readReference(text.replace(/^\{(.*)\}$/s, '$1'))],
      [],
      at,
      hasItem,
    );
    return reference as Reference;
  }

  #read<T extends Template | ValueTemplate>(read: () => T, otherwise: T, at: readonly string[], hasItem: boolean): T {
    let made: T;
    try {
      made = read();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      this.complain(error.message, at);
      return otherwise;
    }
    for (const { path } of referencesOf(made)) this.#check(path, at, hasItem);
    return made;
  }

  #check(path: readonly string[], at: readonly string[], hasItem: boolean): void {
    const [root = '', first, second] = path;
    const text = path.join('.');
    if (root === 'item' && !hasItem) this.complain(`{${text}} has a value only in a part with forEach`, at);
    if (root === 'request' && first !== 'body') this.complain(`there is no {${text}}`, at, '{request.body}');
    if (root === 'params' && !this.#params.includes(first ?? ''))
      this.complain(`match.path has no parameter ":${first}"`, at, this.#params.map((name) => `:${name}`).join(', '));
    if (root !== 'parts') return;
    if (!this.#parts.includes(first ?? '')) this.complain(`there is no part "${first}"`, at, this.#parts.join(', '));
    else if (!['status', 'headers', 'body'].includes(second ?? ''))
      this.complain(`{${text}} names nothing of the part`, at, `parts.${first}.status, .headers or .body`);
  }
}

/**
 * Holds every response of a gateway against its own OpenAPI document: while it watches, each `fetch` to the gateway
 * must name an operation of the document, and status, media type, fields and body must be what the document says.
 * Bodies may have no member that the document does not name.
 */
import assert from 'node:assert/strict';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { Scope } from './scope.ts';

type Mapping = Readonly<Record<string, unknown>>;
interface Described {
  readonly content?: Readonly<Record<string, { readonly schema: Mapping }>>;
  readonly headers?: Mapping;
  readonly $ref?: string;
}
export interface Operation {
  readonly tags: readonly string[];
  readonly security?: readonly Mapping[];
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
  readonly requestBody?: {
    readonly required?: boolean;
    readonly content: Readonly<Record<string, { readonly schema: Mapping }>>;
  };
  readonly responses: Readonly<Record<string, Described>>;
}
export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: Readonly<Record<string, Mapping>>;
}

export class DescribedCalls {
  readonly document: Document;
  /** `METHOD /path/{name} STATUS` of what was seen. */
  readonly seen = new Set<string>();
  readonly #base: string;
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  readonly #paths: readonly { readonly path: string; readonly pattern: RegExp }[];

  constructor(document: Document, base: string) {
    this.document = document;
    this.#base = base;
    // What has fewer names in it is meant first: /outside/links before /outside/{provider}.
    this.#paths = Object.keys(document.paths)
      .sort((one, other) => one.split('{').length - other.split('{').length)
      .map((path) => ({
        path,
        pattern: new RegExp(`^${path.replace(/[.*]/g, '\\$&').replace(/\{\w+\}/g, '[^/]+')}$`),
      }));
  }

  /** Until the test is over. `beside`: paths that are no operations, such as pages for people. */
  watch(test: Scope, beside: RegExp): void {
    const { fetch } = globalThis;
    test.after(async () => {
      globalThis.fetch = fetch;
    });
    globalThis.fetch = async (input, init) => {
      const request = new Request(input, init);
      const body = request.body === null ? '' : await request.clone().text();
      const response = await fetch(input, init);
      if (request.url.startsWith(`${this.#base}/`) && !beside.test(new URL(request.url).pathname))
        await this.#check(request, body, response.clone());
      return response;
    };
  }

  async #check(request: Request, sent: string, response: Response): Promise<void> {
    const { pathname, searchParams } = new URL(request.url);
    const method = request.method.toLowerCase();
    const path = this.#paths.find(
      (each) => each.pattern.test(pathname) && this.document.paths[each.path]?.[method],
    )?.path;
    const what = `${request.method} ${path ?? pathname} ${response.status}`;
    const operation = path === undefined ? undefined : this.document.paths[path]?.[method];
    assert.ok(operation !== undefined, `${what}: the document has no such operation`);
    if (response.ok || response.status === 302 || response.status === 303)
      this.#checkRequest(what, operation, request, sent, searchParams);
    const named = operation.responses[response.status];
    const text = await response.text();
    assert.ok(named !== undefined, `${what}: the document has no such status: ${text.slice(0, 500)}`);
    const said = named.$ref === undefined ? named : (at(this.document, named.$ref) as Described);
    for (const name of Object.keys(said.headers ?? {}))
      assert.ok(response.headers.has(name), `${what}: the field ${name} is missing`);
    const type = typeOf(response);
    // RFC 9110 §15.4: a redirect may have a short note for people.
    const isRedirect = response.status >= 300 && response.status < 400;
    if (said.content === undefined) assert.ok(text === '' || isRedirect, `${what} has a body: ${type}`);
    else {
      const schema = said.content[type]?.schema;
      assert.ok(schema !== undefined, `${what} is ${type}; the document says ${Object.keys(said.content).join(', ')}`);
      this.#valid(what, closed(this.document, schema), type.endsWith('json') ? JSON.parse(text) : text);
    }
    this.seen.add(what);
  }

  #checkRequest(what: string, operation: Operation, request: Request, sent: string, query: URLSearchParams): void {
    for (const name of query.keys()) {
      const isNamed = operation.parameters?.some((each) => each.in === 'query' && each.name === name);
      assert.ok(isNamed, `${what}: the document has no parameter ${name}`);
    }
    const { requestBody } = operation;
    if (sent === '') {
      assert.ok(requestBody?.required !== true, `${what}: the document says that there is a body`);
      return;
    }
    const type = typeOf(request);
    const schema = requestBody?.content[type]?.schema;
    assert.ok(schema !== undefined, `${what}: the document has no body of ${type}`);
    this.#valid(
      `body of ${what}`,
      schema,
      type.endsWith('json') ? JSON.parse(sent) : Object.fromEntries(new URLSearchParams(sent)),
    );
  }

  #valid(what: string, schema: Mapping, value: unknown): void {
    const validate = this.#ajv.compile({ ...schema, components: this.document.components });
    const why = (): string =>
      `${what}: ${JSON.stringify(validate.errors?.map(({ instancePath, message, params }) => [instancePath, message, params]))}\n${JSON.stringify(value)?.slice(0, 1_000)}`;
    assert.ok(validate(value), why());
  }

  /** Operations of a tag, as `METHOD /path/{name}`. */
  operations(...tags: readonly string[]): readonly { readonly key: string; readonly operation: Operation }[] {
    return Object.entries(this.document.paths).flatMap(([path, item]) =>
      Object.entries(item)
        .filter(([, { tags: own }]) => own.some((tag) => tags.includes(tag)))
        .map(([method, operation]) => ({ key: `${method.toUpperCase()} ${path}`, operation })),
    );
  }

  /** Successes of these tags that nothing has shown to be true. */
  untried(...tags: readonly string[]): string[] {
    return this.operations(...tags).flatMap(({ key, operation }) =>
      Object.keys(operation.responses)
        .filter((status) => /^[23]/.test(status) && !this.seen.has(`${key} ${status}`))
        .map((status) => `${key} ${status}`),
    );
  }
}

function typeOf(message: Request | Response): string {
  return message.headers.get('content-type')?.split(';', 1)[0]?.trim() ?? '';
}

function at({ components }: Pick<Document, 'components'>, reference: string): Mapping {
  const [, , kind = '', name = ''] = reference.split('/');
  const found = components[kind]?.[name];
  assert.ok(found !== undefined, `the document has no ${reference}`);
  return found as Mapping;
}

/** The schema with its references resolved, and no member beyond those that it names. */
export function closed(document: Pick<Document, 'components'>, schema: unknown, isPart = false): Mapping {
  if (typeof schema !== 'object' || schema === null) return schema as never;
  const { $ref, ...own } = schema as Record<string, unknown>;
  if (typeof $ref === 'string') return closed(document, { ...at(document, $ref), ...own }, isPart);
  const result: Record<string, unknown> = { ...own };
  for (const key of ['allOf', 'anyOf', 'oneOf'])
    if (Array.isArray(own[key])) result[key] = own[key].map((each) => closed(document, each, key === 'allOf'));
  if (own['items'] !== undefined) result['items'] = closed(document, own['items']);
  if (typeof own['additionalProperties'] === 'object')
    result['additionalProperties'] = closed(document, own['additionalProperties']);
  if (own['properties'] !== undefined) {
    const inner = Object.entries(own['properties'] as Mapping);
    // A part leaves what it does not name to the parts beside it, inside as well.
    result['properties'] = Object.fromEntries(inner.map(([name, each]) => [name, closed(document, each, isPart)]));
    if (!isPart) result['additionalProperties'] ??= false;
  }
  if (own['allOf'] !== undefined) result['unevaluatedProperties'] = false;
  return result;
}

/**
 * The definitions of one document, each compiled once however many operations use it, circular ones included: a schema
 * that refers to `#/$defs/NAME` calls what was made of NAME. Compiled a definition at a time, so that a large document
 * does not hold up the traffic of a worker. In a circle of definitions each looks at each value once: forms that all
 * look at the same would take time that doubles with each level.
 */
import { hash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { JsonSchema } from '../contract/user-policy.ts';
import { type CompiledSchema, checkOf, compileLinked, compileSchema, type SchemaCheck } from './json-schema.ts';
import { hoisted } from './schema-circles.ts';
import type { SchemaLinks } from './schema-links.ts';
import { referredNames, usesUnevaluated } from './schema-links.ts';
import type { Violation } from './violation.ts';

export type Definitions = Readonly<Record<string, JsonSchema>>;

/** A reload costs nothing for a document that has not changed. */
const known = new Map<string, SchemaTable>();
const MOST_KNOWN = 32;
const byIdentity = new WeakMap<Definitions, SchemaTable>();

export class SchemaTable implements SchemaLinks {
  readonly #definitions: Definitions;
  readonly #compiled = new Map<string, CompiledSchema>();
  readonly #checks = new Map<string, SchemaCheck>();
  /** Definitions that lead back to themselves, or are on the way between such. */
  readonly #circular: ReadonlySet<string>;
  /** By definition, what is known of the values of the check that is under way. */
  readonly #passed = new Map<string, WeakMap<object, boolean>>();
  readonly #found = new Map<string, WeakMap<object, readonly Violation[]>>();

  static of(definitions: Definitions): SchemaTable {
    const same = byIdentity.get(definitions);
    if (same !== undefined) return same;
    const digest = hash('sha256', JSON.stringify(definitions), 'base64url');
    const table = known.get(digest) ?? new SchemaTable(definitions);
    if (known.size >= MOST_KNOWN) known.delete(known.keys().next().value!);
    known.set(digest, table);
    byIdentity.set(definitions, table);
    return table;
  }

  private constructor(definitions: Definitions) {
    this.#definitions = definitions;
    this.#circular = circularNames(definitions);
  }

  /** Rejects when the schema is one that `schemaProblem` refuses. */
  async compile(schema: JsonSchema): Promise<SchemaCheck> {
    const key = JSON.stringify(schema);
    const before = this.#checks.get(key);
    if (before !== undefined) return before;
    await this.#prepare(referredNames(schema));
    const made = await this.#checkOf(schema);
    const check = this.#circular.size === 0 ? made : this.#forgetting(made);
    this.#checks.set(key, check);
    return check;
  }

  async #checkOf(schema: JsonSchema): Promise<SchemaCheck> {
    // A reference and nothing else, as most bodies are, is what it refers to.
    const alone = typeof schema === 'object' && Object.keys(schema).length === 1 ? referredNames(schema)[0] : undefined;
    const compiled = alone === undefined || !('$ref' in (schema as object)) ? undefined : this.#compiled.get(alone);
    if (compiled !== undefined) return checkOf(compiled);
    await turn();
    const own = Object.keys(this.#definitions).length === 0 && !usesUnevaluated(schema) ? hoisted(schema) : null;
    if (own !== null) return SchemaTable.of(own.definitions).compile(own.schema);
    if (usesUnevaluated(schema)) return compileSchema(this.#withDefinitions(schema));
    return checkOf(await compileLinked(schema, this));
  }

  /** Compiles these definitions, and all that they reach. */
  async #prepare(names: readonly string[]): Promise<void> {
    const waiting = [...names];
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      const definition = this.#definitions[name];
      if (definition === undefined || this.#compiled.has(name)) continue;
      // What is evaluated in a schema that is referred to counts, so there nothing can be compiled by itself.
      const compiled = usesUnevaluated(definition)
        ? await compileLinked(this.#withDefinitions(definition), null)
        : await compileLinked(definition, this);
      this.#compiled.set(name, compiled);
      waiting.push(...referredNames(definition));
      await turn();
    }
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#definitions, name);
  }

  passes(name: string, value: unknown): boolean {
    const compiled = this.#compiled.get(name)!;
    if (typeof value !== 'object' || value === null || !this.#circular.has(name)) return compiled.passes(value);
    const known = valuesOf(this.#passed, name);
    const before = known.get(value);
    if (before !== undefined) return before;
    const passes = compiled.passes(value);
    known.set(value, passes);
    return passes;
  }

  violations(name: string, value: unknown): readonly Violation[] {
    const compiled = this.#compiled.get(name)!;
    if (typeof value !== 'object' || value === null || !this.#circular.has(name)) return compiled.violations(value);
    const known = valuesOf(this.#found, name);
    const before = known.get(value);
    if (before !== undefined) return before;
    const violations = compiled.violations(value);
    known.set(value, violations);
    return violations;
  }

  /** Whoever has a value may change it between two checks. */
  #forgetting(check: SchemaCheck): SchemaCheck {
    return (value) => {
      try {
        return check(value);
      } finally {
        this.#passed.clear();
        this.#found.clear();
      }
    };
  }

  /** The schema with all that it reaches. */
  #withDefinitions(schema: JsonSchema): JsonSchema {
    const reached: Record<string, JsonSchema> = {};
    const waiting = [...referredNames(schema)];
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      const definition = this.#definitions[name];
      if (definition === undefined || Object.hasOwn(reached, name)) continue;
      reached[name] = definition;
      waiting.push(...referredNames(definition));
    }
    if (typeof schema === 'boolean' || Object.keys(reached).length === 0) return schema;
    return { ...schema, $defs: { ...reached, ...(schema['$defs'] as object | undefined) } };
  }
}

function valuesOf<T>(known: Map<string, WeakMap<object, T>>, name: string): WeakMap<object, T> {
  const values = known.get(name) ?? new WeakMap<object, T>();
  known.set(name, values);
  return values;
}

/** What is left when those that refer to nothing, or are referred to by nothing, are taken away again and again. */
function circularNames(definitions: Definitions): ReadonlySet<string> {
  const refersTo = new Map(Object.entries(definitions).map(([name, each]) => [name, new Set(referredNames(each))]));
  const isReferredToBy = new Map<string, Set<string>>([...refersTo.keys()].map((name) => [name, new Set()]));
  for (const [name, targets] of refersTo) for (const target of targets) isReferredToBy.get(target)?.add(name);
  const left = new Set(refersTo.keys());
  for (const [edges, back] of [
    [refersTo, isReferredToBy],
    [isReferredToBy, refersTo],
  ] as const) {
    const open = new Map(
      [...left].map((name) => [name, [...edges.get(name)!].filter((each) => left.has(each)).length]),
    );
    const free = [...open].flatMap(([name, count]) => (count === 0 ? [name] : []));
    for (let name = free.pop(); name !== undefined; name = free.pop()) {
      left.delete(name);
      for (const other of back.get(name)!) {
        if (!left.has(other)) continue;
        const count = open.get(other)! - 1;
        open.set(other, count);
        if (count === 0) free.push(other);
      }
    }
  }
  return left;
}

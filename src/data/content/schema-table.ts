/**
 * The definitions of one document, each compiled once however many operations use it, circular ones included: a schema
 * that refers to `#/$defs/NAME` calls what was made of NAME. Compiled a definition at a time, so that a large document
 * does not hold up the traffic of a worker.
 */
import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { JsonSchema } from '../contract/user-policy.ts';
import { type CompiledSchema, checkOf, compileLinked, compileSchema, type SchemaCheck } from './json-schema.ts';
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

  static of(definitions: Definitions): SchemaTable {
    const same = byIdentity.get(definitions);
    if (same !== undefined) return same;
    const digest = createHash('sha256').update(JSON.stringify(definitions)).digest('base64url');
    const table = known.get(digest) ?? new SchemaTable(definitions);
    if (known.size >= MOST_KNOWN) known.delete(known.keys().next().value!);
    known.set(digest, table);
    byIdentity.set(definitions, table);
    return table;
  }

  private constructor(definitions: Definitions) {
    this.#definitions = definitions;
  }

  /** Rejects when the schema is one that `schemaProblem` refuses. */
  async compile(schema: JsonSchema): Promise<SchemaCheck> {
    const key = JSON.stringify(schema);
    const before = this.#checks.get(key);
    if (before !== undefined) return before;
    await this.#prepare(referredNames(schema));
    const check = await this.#checkOf(schema);
    this.#checks.set(key, check);
    return check;
  }

  async #checkOf(schema: JsonSchema): Promise<SchemaCheck> {
    // A reference and nothing else, as most bodies are, is what it refers to.
    const alone = typeof schema === 'object' && Object.keys(schema).length === 1 ? referredNames(schema)[0] : undefined;
    const compiled = alone === undefined || !('$ref' in (schema as object)) ? undefined : this.#compiled.get(alone);
    if (compiled !== undefined) return checkOf(compiled);
    await turn();
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
    return this.#compiled.get(name)!.passes(value);
  }

  violations(name: string, value: unknown): readonly Violation[] {
    return this.#compiled.get(name)!.violations(value);
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

/**
 * Components of many documents in one: equal ones once, different ones of one name apart by the name of their service.
 * Gives each document's parts back with references to where its components went.
 */
import { isMapping, type Mapping } from '../openapi-document.ts';

export class Components {
  readonly #kinds = new Map<string, Map<string, unknown>>();

  /** All components of a document; the function rewrites references in anything else of that document. */
  add(document: Mapping, service: string): (value: unknown) => unknown {
    const components = isMapping(document['components']) ? document['components'] : {};
    const moved = new Map<string, string>();
    const prefix = service.replace(/^builtin:/, '').replace(/[^A-Za-z0-9._-]/g, '_');
    const wanted: { readonly kind: string; readonly name: string; readonly value: unknown }[] = [];
    for (const [kind, members] of Object.entries(components)) {
      // The gateway says who may call (route-facts.ts); only own APIs bring schemes, which the merger knows.
      if (kind === 'securitySchemes' || !isMapping(members)) continue;
      for (const [name, value] of Object.entries(members)) wanted.push({ kind, name, value });
    }
    for (const { kind, name, value } of wanted) {
      const taken = this.#of(kind);
      const before = taken.get(name);
      if (before !== undefined && JSON.stringify(before) !== JSON.stringify(value))
        moved.set(pointer(kind, name), pointer(kind, free(`${prefix}_${name}`, taken)));
    }
    const rewrite = (value: unknown): unknown => rewritten(value, moved);
    for (const { kind, name, value } of wanted) {
      const target = moved.get(pointer(kind, name));
      this.#of(kind).set(target === undefined ? name : (target.split('/').at(-1) ?? name), rewrite(value));
    }
    return rewrite;
  }

  /** Those that something refers to, directly or by way of others, and all security schemes that are given. */
  used(roots: unknown): Mapping {
    const used = new Set<string>();
    const visit = (value: unknown): void => {
      if (Array.isArray(value)) for (const each of value) visit(each);
      else if (isMapping(value)) {
        const reference = value['$ref'];
        if (typeof reference === 'string' && !used.has(reference)) {
          used.add(reference);
          visit(this.#at(reference));
        }
        for (const each of Object.values(value)) visit(each);
      }
    };
    visit(roots);
    const result: Record<string, Record<string, unknown>> = {};
    for (const [kind, members] of [...this.#kinds].sort(([one], [other]) => (one < other ? -1 : 1)))
      for (const [name, value] of [...members].sort(([one], [other]) => (one < other ? -1 : 1)))
        if (used.has(pointer(kind, name))) result[kind] = { ...result[kind], [name]: value };
    return result;
  }

  #of(kind: string): Map<string, unknown> {
    let members = this.#kinds.get(kind);
    if (members === undefined) {
      members = new Map();
      this.#kinds.set(kind, members);
    }
    return members;
  }

  #at(reference: string): unknown {
    const [, , kind = '', name = ''] = reference.split('/');
    return this.#kinds.get(kind)?.get(name);
  }
}

function pointer(kind: string, name: string): string {
  return `#/components/${kind}/${name}`;
}

function free(name: string, taken: ReadonlyMap<string, unknown>): string {
  let result = name;
  for (let i = 2; taken.has(result); i++) result = `${name}_${i}`;
  return result;
}

function rewritten(value: unknown, moved: ReadonlyMap<string, string>): unknown {
  if (moved.size === 0) return value;
  if (Array.isArray(value)) return value.map((each) => rewritten(each, moved));
  if (!isMapping(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [
      key,
      key === '$ref' && typeof each === 'string' ? (moved.get(each) ?? each) : rewritten(each, moved),
    ]),
  );
}

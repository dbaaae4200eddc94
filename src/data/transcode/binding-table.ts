/**
 * Which binding a path belongs to. A tree of segments; a literal goes before `*`, that before `**`, and the walk tries
 * the next one where the first leads to nothing. Built once per configuration.
 */
import { type PathTemplate, parseTemplate } from '../contract/path-template.ts';
import type { TranscodeBinding } from '../contract/transcode.ts';

export interface Bound {
  readonly binding: TranscodeBinding;
  /** Values from the path, by the field that they are for, decoded. */
  readonly values: readonly { readonly field: readonly string[]; readonly value: string }[];
}

/** What there is for a path: a binding for the method, or the methods that it has. */
export type Lookup = Bound | { readonly allow: string } | null;

interface Leaf {
  readonly template: PathTemplate;
  /** By method. */
  readonly bindings: Map<string, TranscodeBinding>;
}

interface Node {
  readonly literals: Map<string, Node>;
  one: Node | null;
  /** Leaves by verb; of `**` here, and of what ends here. */
  readonly rests: Map<string, Leaf[]>;
  readonly ends: Map<string, Leaf[]>;
}

const newNode = (): Node => ({ literals: new Map(), one: null, rests: new Map(), ends: new Map() });

export class BindingTable {
  readonly #root = newNode();

  /** Throws a `TypeError` on a template that cannot be read. */
  constructor(bindings: readonly TranscodeBinding[]) {
    for (const binding of bindings) this.#add(binding, parseTemplate(binding.template));
  }

  /** `path` as it was sent, percent-encoded. */
  find(method: string, path: string): Lookup {
    const segments = path.slice(1).split('/');
    const last = segments.at(-1)!;
    const colon = last.lastIndexOf(':');
    const allowed = new Set<string>();
    if (colon >= 0) {
      const shorter = [...segments.slice(0, -1), last.slice(0, colon)];
      const found = this.#walk(this.#root, shorter, 0, last.slice(colon + 1), method, allowed);
      if (found !== null) return found;
    }
    const found = this.#walk(this.#root, segments, 0, '', method, allowed);
    if (found !== null) return found;
    return allowed.size === 0 ? null : { allow: [...allowed].sort().join(', ') };
  }

  #add(binding: TranscodeBinding, template: PathTemplate): void {
    let node = this.#root;
    let isRest = false;
    for (const segment of template.segments) {
      if (segment.kind === 'rest') isRest = true;
      else if (segment.kind === 'one') node = node.one ??= newNode();
      else {
        const known = node.literals.get(segment.text) ?? newNode();
        node.literals.set(segment.text, known);
        node = known;
      }
    }
    const leaves = isRest ? node.rests : node.ends;
    const list = leaves.get(template.verb) ?? [];
    leaves.set(template.verb, list);
    // Two templates of one shape differ in the names of their variables only, so each has its own leaf.
    list.push({ template, bindings: new Map([[binding.verb, binding]]) });
  }

  #walk(
    node: Node,
    segments: readonly string[],
    at: number,
    verb: string,
    method: string,
    allowed: Set<string>,
  ): Bound | null {
    if (at === segments.length) {
      const found = take(node.ends.get(verb), segments, method, allowed);
      if (found !== null) return found;
    } else {
      const segment = segments[at]!;
      const literal = node.literals.get(segment);
      const found = literal === undefined ? null : this.#walk(literal, segments, at + 1, verb, method, allowed);
      if (found !== null) return found;
      if (node.one !== null && segment !== '') {
        const other = this.#walk(node.one, segments, at + 1, verb, method, allowed);
        if (other !== null) return other;
      }
    }
    return take(node.rests.get(verb), segments, method, allowed);
  }
}

function take(
  leaves: readonly Leaf[] | undefined,
  segments: readonly string[],
  method: string,
  allowed: Set<string>,
): Bound | null {
  for (const { template, bindings } of leaves ?? []) {
    // RFC 9110 §9.3.2: HEAD is GET without the body.
    const binding = bindings.get(method) ?? (method === 'HEAD' ? bindings.get('GET') : undefined) ?? bindings.get('*');
    if (binding !== undefined) return { binding, values: valuesOf(template, segments) };
    for (const each of bindings.keys()) allowed.add(each);
  }
  return null;
}

function valuesOf({ segments: pattern, variables }: PathTemplate, segments: readonly string[]): Bound['values'] {
  return variables.map(({ field, from, to, isMulti }) => {
    const isOpen = to === pattern.length && pattern.at(-1)?.kind === 'rest';
    const parts = segments.slice(from, isOpen ? segments.length : to);
    return { field, value: parts.map((part) => decoded(part, isMulti)).join('/') };
  });
}

/**
 * `%2F` stays what it is where the value holds slashes of its own. A path that cannot be decoded has been refused
 * before.
 */
function decoded(part: string, isMulti: boolean): string {
  if (!part.includes('%')) return part;
  try {
    return isMulti
      ? part
          .split(/(%2F)/i)
          .map((each) => (/^%2F$/i.test(each) ? each : decodeURIComponent(each)))
          .join('')
      : decodeURIComponent(part);
  } catch {
    return part;
  }
}

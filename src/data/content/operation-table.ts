/**
 * Finds the operation of an OpenAPI document for a method and path: templates by their number of segments, the more
 * concrete one first (OpenAPI 3.1 §4.8.8.2). Values of `{name}` are decoded here; one that cannot be is no match.
 */
interface Template<T> {
  readonly segments: readonly Segment[];
  readonly methods: Map<string, T>;
  readonly text: string;
}

/** `prefix{name}suffix`; a segment without braces has name null and is its prefix. */
interface Segment {
  readonly prefix: string;
  readonly name: string | null;
  readonly suffix: string;
}

export interface FoundOperation<T> {
  readonly operation: T;
  readonly params: Readonly<Record<string, string>>;
}

export class OperationTable<T> {
  readonly #byLength = new Map<number, Template<T>[]>();

  add(method: string, template: string, operation: T): void {
    const segments = template.split('/').slice(1).map(segmentOf);
    const same = this.#byLength.get(segments.length) ?? [];
    this.#byLength.set(segments.length, same);
    let known = same.find(({ text }) => text === template);
    if (known === undefined) {
      known = { segments, methods: new Map(), text: template };
      same.push(known);
      same.sort((one, other) => concreteness(one).localeCompare(concreteness(other)));
    }
    known.methods.set(method, operation);
  }

  /** The operation; or the methods that the path has, none when no template fits it. */
  find(method: string, path: string): FoundOperation<T> | readonly string[] {
    const parts = path.split('/').slice(1);
    for (const template of this.#byLength.get(parts.length) ?? []) {
      const params = matched(template.segments, parts);
      if (params === null) continue;
      const operation = template.methods.get(method) ?? (method === 'HEAD' ? template.methods.get('GET') : undefined);
      return operation === undefined ? [...template.methods.keys()] : { operation, params };
    }
    return [];
  }
}

function segmentOf(text: string): Segment {
  const open = text.indexOf('{');
  const close = text.indexOf('}', open);
  if (open < 0 || close < 0) return { prefix: text, name: null, suffix: '' };
  return { prefix: text.slice(0, open), name: text.slice(open + 1, close), suffix: text.slice(close + 1) };
}

/** Sorts what is fixed before what is open, from left to right. */
function concreteness({ segments }: Template<unknown>): string {
  return segments.map(({ name, prefix }) => (name === null ? '0' : prefix === '' ? '2' : '1')).join('');
}

function matched(segments: readonly Segment[], parts: readonly string[]): Record<string, string> | null {
  const params: Record<string, string> = {};
  for (let i = 0; i < segments.length; i++) {
    const { prefix, name, suffix } = segments[i]!;
    const part = parts[i]!;
    if (name === null) {
      if (part !== prefix) return null;
      continue;
    }
    if (part.length <= prefix.length + suffix.length || !part.startsWith(prefix) || !part.endsWith(suffix)) return null;
    try {
      params[name] = decodeURIComponent(part.slice(prefix.length, part.length - suffix.length));
    } catch {
      return null;
    }
  }
  return params;
}

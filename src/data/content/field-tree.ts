/**
 * Paths into JSON, put together as one tree, so that a body is walked once however many fields are named. A step `*`
 * stands for every member of an object or item of a list. Values are changed in place; nothing else refers to them.
 */
import type { FieldPath } from '../contract/transform.ts';

export class FieldTree {
  readonly children = new Map<string, FieldTree>();
  any: FieldTree | null = null;
  /** A path ends here. */
  isEnd = false;
  /** For renaming: the new name of what is here. */
  name: string | null = null;

  static of(paths: readonly FieldPath[]): FieldTree {
    const root = new FieldTree();
    for (const path of paths) root.at(path).isEnd = true;
    root.#spread();
    return root;
  }

  static renaming(names: readonly (readonly [path: FieldPath, name: string])[]): FieldTree {
    const root = new FieldTree();
    for (const [path, name] of names) root.at(path).name = name;
    root.#spread();
    return root;
  }

  at(path: FieldPath): FieldTree {
    let tree: FieldTree = this;
    for (const step of path) {
      let next = step === '*' ? tree.any : tree.children.get(step);
      if (next === undefined || next === null) {
        next = new FieldTree();
        if (step === '*') tree.any = next;
        else tree.children.set(step, next);
      }
      tree = next;
    }
    return tree;
  }

  /** What holds for all holds for those that are named as well. */
  #spread(): void {
    if (this.any !== null) for (const child of this.children.values()) child.#merge(this.any);
    for (const child of this.children.values()) child.#spread();
    if (this.any !== null) this.any.#spread();
  }

  #merge(other: FieldTree): void {
    this.isEnd ||= other.isEnd;
    this.name ??= other.name;
    for (const [step, child] of other.children) this.at([step]).#merge(child);
    if (other.any !== null) this.at(['*']).#merge(other.any);
  }

  child(step: string): FieldTree | null {
    return this.children.get(step) ?? this.any;
  }
}

type Members = Record<string, unknown>;

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !JSON.isRawJSON(value);
}

/** Only what is named; undefined where nothing of it is. */
export function picked(value: unknown, tree: FieldTree): unknown {
  if (tree.isEnd) return value;
  if (Array.isArray(value)) {
    const items: unknown[] = [];
    for (let i = 0; i < value.length; i++) {
      const child = tree.child(String(i));
      const item = child === null ? undefined : picked(value[i], child);
      if (item !== undefined) items.push(item);
    }
    return items;
  }
  if (!isMembers(value)) return undefined;
  const members: [string, unknown][] = [];
  for (const name of Object.keys(value)) {
    const child = tree.child(name);
    const member = child === null ? undefined : picked(value[name], child);
    if (member !== undefined) members.push([name, member]);
  }
  return Object.fromEntries(members);
}

/** All but what is named. */
export function omitted(value: unknown, tree: FieldTree): unknown {
  if (tree.isEnd) return undefined;
  if (Array.isArray(value)) {
    const items: unknown[] = [];
    for (let i = 0; i < value.length; i++) {
      const child = tree.child(String(i));
      const item = child === null ? value[i] : omitted(value[i], child);
      if (item !== undefined) items.push(item);
    }
    return items;
  }
  if (!isMembers(value)) return value;
  for (const name of Object.keys(value)) {
    const child = tree.child(name);
    if (child === null) continue;
    if (child.isEnd) delete value[name];
    else value[name] = omitted(value[name], child);
  }
  return value;
}

/** Members keep their places; one that had the new name before is replaced. */
export function renamed(value: unknown, tree: FieldTree): unknown {
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const child = tree.child(String(i));
      if (child !== null) value[i] = renamed(value[i], child);
    }
    return value;
  }
  if (!isMembers(value)) return value;
  const taken = new Set<string>();
  const members: [string, unknown][] = [];
  for (const name of Object.keys(value)) {
    const child = tree.child(name);
    const inner = child === null ? value[name] : renamed(value[name], child);
    const newName = child?.name ?? null;
    if (newName !== null) taken.add(newName);
    members.push([newName ?? name, inner]);
  }
  if (taken.size === 0) {
    for (const [name, inner] of members) value[name] = inner;
    return value;
  }
  const names = Object.keys(value);
  return Object.fromEntries(members.filter(([name], i) => !taken.has(name) || names[i] !== name));
}

/** Puts `value` there; objects on the way that are not there are made, `*` goes into what is. */
export function putAt(body: unknown, path: FieldPath, value: unknown): void {
  const [step, ...rest] = path;
  if (step === undefined || typeof body !== 'object' || body === null || JSON.isRawJSON(body)) return;
  const owner = body as Members;
  if (step === '*') {
    for (const name of Object.keys(owner)) putIn(owner, name, rest, value);
    return;
  }
  if (Array.isArray(body) && !/^(0|[1-9]\d{0,6})$/.test(step)) return;
  if (Array.isArray(body) && Number(step) >= body.length) return;
  putIn(owner, step, rest, value);
}

function putIn(owner: Members, name: string, rest: FieldPath, value: unknown): void {
  if (rest.length === 0) {
    owner[name] = copyOf(value);
    return;
  }
  if (!Object.hasOwn(owner, name) && rest[0] !== '*') owner[name] = {};
  if (Object.hasOwn(owner, name)) putAt(owner[name], rest, value);
}

/** So that what is put in several places, or into itself, is not one thing in all of them. */
function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf);
  if (!isMembers(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, copyOf(inner)]));
}

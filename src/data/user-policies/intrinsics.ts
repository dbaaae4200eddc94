/**
 * What all code of a thread shares of the language: a module of a user's that changes it (`Array.prototype.map`, a
 * member on `Object.prototype`) changes it for the gateway and for every other module. It is remembered before the
 * first of them is loaded, compared from time to time, and put back.
 */

type Shared = Record<PropertyKey, unknown>;

const global = globalThis as unknown as Shared;
/** Kept before anybody could change them. */
const { getOwnPropertyDescriptor, is } = Object;
const { defineProperty, deleteProperty, ownKeys } = Reflect;

/** Of these, with their prototypes. */
const CONSTRUCTORS = [
  'Array',
  'ArrayBuffer',
  'BigInt',
  'Boolean',
  'Date',
  'Error',
  'Function',
  'Map',
  'Number',
  'Object',
  'Promise',
  'RegExp',
  'Set',
  'String',
  'Symbol',
  'TypeError',
  'URL',
  'URLSearchParams',
  'Uint8Array',
  'WeakMap',
  'WeakSet',
];
const NAMESPACES = ['Atomics', 'JSON', 'Math', 'Reflect'];
/** Of the global object itself, where others may well put things of their own. */
const FUNCTIONS = [
  'clearImmediate',
  'clearInterval',
  'clearTimeout',
  'decodeURIComponent',
  'encodeURIComponent',
  'parseInt',
  'queueMicrotask',
  'setImmediate',
  'setInterval',
  'setTimeout',
];

interface Kept {
  readonly name: string;
  readonly owner: object;
  readonly members: ReadonlyMap<PropertyKey, PropertyDescriptor>;
  /** A member that was not there is a change, too. */
  readonly isClosed: boolean;
}

/** What engines set by themselves, for the last match. */
const OF_THE_ENGINE = /^(\$[\d&_`'+]|input|last(Match|Paren)|(left|right)Context)$/;

export class Intrinsics {
  readonly #kept: readonly Kept[];

  constructor() {
    const owners: (readonly [name: string, owner: unknown])[] = [
      ...NAMESPACES.map((name) => [name, global[name]] as const),
      ...CONSTRUCTORS.flatMap((name) => {
        const made = global[name] as { readonly prototype: unknown };
        return [
          [name, made],
          [`${name}.prototype`, made.prototype],
        ] as const;
      }),
      ['TypedArray.prototype', Object.getPrototypeOf(Uint8Array.prototype)],
    ];
    const names = new Set<PropertyKey>([...CONSTRUCTORS, ...NAMESPACES, ...FUNCTIONS]);
    this.#kept = [
      ...owners.map(([name, owner]) => keptOf(name, owner as object)),
      { ...keptOf('', globalThis, names), isClosed: false },
    ];
  }

  /** Names of what is not as it was, such as `Array.prototype.map`. It is again, unless its new form forbids that. */
  restore(): string[] {
    const changed: string[] = [];
    for (const { name, owner, members, isClosed } of this.#kept) {
      for (const [key, before] of members) {
        const now = getOwnPropertyDescriptor(owner, key);
        if (now !== undefined && is(now.value, before.value) && now.get === before.get && now.set === before.set)
          continue;
        changed.push(nameOf(name, key));
        defineProperty(owner, key, before);
      }
      if (!isClosed || ownKeys(owner).length === members.size) continue;
      for (const key of ownKeys(owner)) {
        if (members.has(key) || isOfTheEngine(key)) continue;
        changed.push(nameOf(name, key));
        deleteProperty(owner, key);
      }
    }
    return changed;
  }
}

function keptOf(name: string, owner: object, only?: ReadonlySet<PropertyKey>): Kept {
  const members = new Map<PropertyKey, PropertyDescriptor>();
  for (const key of ownKeys(owner))
    if (only === undefined ? !isOfTheEngine(key) : only.has(key))
      members.set(key, getOwnPropertyDescriptor(owner, key)!);
  return { name, owner, members, isClosed: true };
}

function isOfTheEngine(key: PropertyKey): boolean {
  return typeof key === 'string' && OF_THE_ENGINE.test(key);
}

function nameOf(owner: string, key: PropertyKey): string {
  return owner === '' ? String(key) : `${owner}.${String(key)}`;
}

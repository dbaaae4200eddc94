/**
 * What all code of a thread shares of the language: a module of a user's that changes it (`Array.prototype.map`, a
 * member on `Object.prototype`) changes it for the gateway and for every other module. It is remembered before the
 * first of them is loaded, compared from time to time, and put back.
 */

import { EventEmitter } from 'node:events';

type Shared = Record<PropertyKey, unknown>;

const global = globalThis as unknown as Shared;
/** Kept before anybody could change them. Nothing below uses what could be changed: no iteration, no methods. */
const { getOwnPropertyDescriptor, getPrototypeOf, is, setPrototypeOf } = Object;
const { defineProperty, deleteProperty, ownKeys } = Reflect;

/** Of these, with their prototypes. */
const CONSTRUCTORS = [
  'Array',
  'ArrayBuffer',
  'BigInt',
  'BigInt64Array',
  'Boolean',
  'Buffer',
  'DataView',
  'Date',
  'Error',
  'EventTarget',
  'Float64Array',
  'Function',
  'Int32Array',
  'Iterator',
  'Map',
  'Number',
  'Object',
  'Promise',
  'RangeError',
  'RegExp',
  'Set',
  'String',
  'Symbol',
  'TextDecoder',
  'TextEncoder',
  'TypeError',
  'URL',
  'URLSearchParams',
  'Uint32Array',
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
const OF_PROCESS = ['cpuUsage', 'cwd', 'emitWarning', 'exit', 'hrtime', 'memoryUsage', 'nextTick'];

interface Kept {
  /** As a person would call it; empty for the global object. */
  readonly name: string;
  readonly owner: object;
  readonly prototype: object | null;
  readonly keys: readonly PropertyKey[];
  readonly descriptors: readonly PropertyDescriptor[];
  /** `keys` and what changes by itself. Without prototype, so that nothing is found that was not put in. */
  readonly known: Readonly<Record<PropertyKey, true>>;
  /** A member that was not there is a change, too. */
  readonly isClosed: boolean;
}

export interface Restored {
  /** Names of what was not as it was, such as `Array.prototype.map`. */
  readonly changed: readonly string[];
  /** False: some of it cannot be put back (it was frozen, sealed, or made so that nobody can change it). */
  readonly isWhole: boolean;
}

/** What changes by itself (members of `RegExp`, for the last match), and what libraries set on `Error` for traces. */
const VARIABLE = /^(\$[\d&_`'+]|input|last(Match|Paren)|(left|right)Context|stackTraceLimit|prepareStackTrace)$/;
export const UNCHANGED: Restored = { changed: [], isWhole: true };
const PROBE: readonly unknown[] = [];
/** They had none when they were remembered. */
let isWatched = false;

/**
 * Has somebody given `Object.prototype` or `Array.prototype` a member by assignment? That is how most do it, and what
 * breaks most; looking takes a few nanoseconds, so it can be done after every call of a user's function.
 */
export function hasNewMember(): boolean {
  return isWatched && hasMember();
}

function hasMember(): boolean {
  for (const _ in PROBE) return true;
  return false;
}

export class Intrinsics {
  readonly #kept: readonly Kept[];

  constructor() {
    isWatched = !hasMember();
    const owners: (readonly [name: string, owner: unknown])[] = [
      ...NAMESPACES.map((name) => [name, global[name]] as const),
      ...CONSTRUCTORS.flatMap((name) => {
        const made = global[name] as { readonly prototype: unknown };
        return [
          [name, made],
          [`${name}.prototype`, made.prototype],
        ] as const;
      }),
      ['TypedArray.prototype', getPrototypeOf(Uint8Array.prototype)],
      ...prototypesWithoutName(),
      // Node's own `EventEmitter.prototype`, of which all sockets are.
      ['EventEmitter.prototype', EventEmitter.prototype],
    ];
    this.#kept = [
      ...owners.map(([name, owner]) => keptOf(name, owner as object)),
      openKept('', globalThis, [...CONSTRUCTORS, ...NAMESPACES, ...FUNCTIONS]),
      openKept('process', process, OF_PROCESS),
    ];
  }

  /** Puts everything back as it was. */
  restore(): Restored {
    const kept = this.#kept;
    let changed: string[] | null = null;
    let isWhole = true;
    const note = (name: string, isBack: boolean): void => {
      changed ??= [];
      changed[changed.length] = name;
      isWhole &&= isBack;
    };
    for (let at = 0; at < kept.length; at++) {
      const { name, owner, prototype, keys, descriptors, known, isClosed } = kept[at]!;
      if (getPrototypeOf(owner) !== prototype) note(`the prototype of ${name}`, putPrototypeBack(owner, prototype));
      for (let i = 0; i < keys.length; i++) {
        const key = keys[i]!;
        const before = descriptors[i]!;
        if (isSame(getOwnPropertyDescriptor(owner, key), before)) continue;
        note(nameOf(name, key), defineProperty(owner, key, before));
      }
      if (!isClosed) continue;
      const now = ownKeys(owner);
      for (let i = 0; i < now.length; i++) {
        const key = now[i]!;
        if (known[key] === true) continue;
        note(nameOf(name, key), deleteProperty(owner, key));
      }
    }
    return changed === null ? UNCHANGED : { changed, isWhole };
  }
}

/** Of iterators and functions that no name leads to. */
function prototypesWithoutName(): (readonly [name: string, owner: unknown])[] {
  const generator = getPrototypeOf(function* () {});
  const asyncGenerator = getPrototypeOf(async function* () {});
  return [
    ['ArrayIterator.prototype', getPrototypeOf([][Symbol.iterator]())],
    ['MapIterator.prototype', getPrototypeOf(new Map()[Symbol.iterator]())],
    ['SetIterator.prototype', getPrototypeOf(new Set()[Symbol.iterator]())],
    ['StringIterator.prototype', getPrototypeOf(''[Symbol.iterator]())],
    ['RegExpStringIterator.prototype', getPrototypeOf(''.matchAll(/a/g))],
    ['AsyncFunction.prototype', getPrototypeOf(async () => {})],
    ['GeneratorFunction.prototype', generator],
    ['Generator.prototype', generator.prototype],
    ['AsyncGeneratorFunction.prototype', asyncGenerator],
    ['AsyncGenerator.prototype', asyncGenerator.prototype],
  ];
}

function keptOf(name: string, owner: object): Kept {
  return { ...openKept(name, owner, ownKeys(owner)), isClosed: true };
}

/** Others may well put things of their own there. */
function openKept(name: string, owner: object, wanted: readonly PropertyKey[]): Kept {
  const known = { __proto__: null } as unknown as Record<PropertyKey, true>;
  for (const key of wanted) known[key] = true;
  if (owner === Error) known['prepareStackTrace'] = true;
  const keys = wanted.filter((key) => !isVariable(key) && getOwnPropertyDescriptor(owner, key) !== undefined);
  const descriptors = keys.map(
    (key) => ({ __proto__: null, ...getOwnPropertyDescriptor(owner, key) }) as PropertyDescriptor,
  );
  return { name, owner, prototype: getPrototypeOf(owner), keys, descriptors, known, isClosed: false };
}

/** Missing members of a descriptor are `undefined`, unless somebody changed `Object.prototype`: then in both. */
function isSame(now: PropertyDescriptor | undefined, before: PropertyDescriptor): boolean {
  if (now === undefined || now.configurable !== before.configurable || now.enumerable !== before.enumerable)
    return false;
  if (before.get !== undefined || before.set !== undefined) return now.get === before.get && now.set === before.set;
  return is(now.value, before.value) && now.writable === before.writable;
}

function putPrototypeBack(owner: object, prototype: object | null): boolean {
  try {
    setPrototypeOf(owner, prototype);
    return true;
  } catch {
    return false;
  }
}

function isVariable(key: PropertyKey): boolean {
  return typeof key === 'string' && VARIABLE.test(key);
}

function nameOf(owner: string, key: PropertyKey): string {
  const member = typeof key === 'symbol' ? `[${key.description}]` : `${key as string}`;
  if (owner === '') return member;
  return typeof key === 'symbol' ? `${owner}${member}` : `${owner}.${member}`;
}

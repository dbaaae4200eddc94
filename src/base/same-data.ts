/** Compares what crosses threads: plain data, without cycles. */

/** Objects with so many entries are remembered: a large one may be part of thousands of others. */
const WORTH_REMEMBERING = 8;

/** Pairs that were found equal. Lives for one comparison of many things that have parts in common. */
export type KnownSame = WeakMap<object, object>;

/**
 * True when both say the same, whatever the order of keys. Bytes are compared; of other objects that are neither lists
 * nor plain mappings only the very same is equal.
 */
export function isSameData(a: unknown, b: unknown, known?: KnownSame): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (known?.get(a) === b) return true;
  const size = Array.isArray(a) ? sameItems(a, b, known) : sameEntries(a, b, known);
  if (size >= WORTH_REMEMBERING) known?.set(a, b);
  return size >= 0;
}

/** Their number; -1 when they differ. */
function sameItems(a: readonly unknown[], b: object, known: KnownSame | undefined): number {
  if (!Array.isArray(b) || a.length !== b.length) return -1;
  for (let i = 0; i < a.length; i++) if (!isSameData(a[i], b[i], known)) return -1;
  return a.length;
}

function sameEntries(a: object, b: object, known: KnownSame | undefined): number {
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0 ? a.length : -1;
  if (!isPlain(a) || !isPlain(b)) return -1;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return -1;
  for (const key of keys) {
    if (!Object.hasOwn(b, key) || !isSameData(a[key], b[key], known)) return -1;
  }
  return keys.length;
}

function isPlain(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/**
 * What a whole head is written to: fields that the gateway makes and fields of another message that pass. Each protocol
 * implements it (HTTP/1.1 in http1/message-writer.ts); which fields pass is the caller's choice.
 */
import type { FieldWriter } from '../contract/field-writer.ts';
import { nameIs } from './field-names.ts';
import { isProtectedFromNomination } from './framing.ts';
import type { Head } from './head.ts';

/** 1 for each field id that must not pass. */
export type DropMask = Uint8Array;

export interface HeadWriter extends FieldWriter {
  /**
   * The fields of `head` that pass. `nominated` are names that `Connection` takes off (RFC 9110 §7.6.1), `removed`
   * those that policies do; both lower case.
   */
  copyFields(head: Head, drop: DropMask, nominated: readonly string[] | null, removed: readonly string[] | null): void;
}

export function dropMask(ids: readonly number[], rule?: (id: number) => boolean): DropMask {
  return Uint8Array.from({ length: 64 }, (_, id) => (ids.includes(id) || rule?.(id) === true ? 1 : 0));
}

export function fieldPasses(
  head: Head,
  field: number,
  drop: DropMask,
  nominated: readonly string[] | null,
  removed: readonly string[] | null,
): boolean {
  const id = head.ids[field]!;
  if (drop[id] !== 0) return false;
  if (nominated !== null && !isProtectedFromNomination(id) && isNamed(head, field, nominated)) return false;
  return removed === null || !isNamed(head, field, removed);
}

function isNamed(head: Head, field: number, names: readonly string[]): boolean {
  const start = head.marks[field * 4]!;
  const end = head.marks[field * 4 + 1]!;
  for (let i = 0; i < names.length; i++) if (nameIs(head.bytes, start, end, names[i]!)) return true;
  return false;
}

/**
 * Types of Protocol Buffers as plain data: what control makes of `.proto` files and descriptor sets, and workers
 * translate by (types.ts). Names are full names without a leading dot.
 */

/** The scalar types of the language, by their names there, and the two that refer to another type. */
export type FieldKind =
  | 'double'
  | 'float'
  | 'int32'
  | 'int64'
  | 'uint32'
  | 'uint64'
  | 'sint32'
  | 'sint64'
  | 'fixed32'
  | 'fixed64'
  | 'sfixed32'
  | 'sfixed64'
  | 'bool'
  | 'string'
  | 'bytes'
  | 'enum'
  | 'message';

export interface FieldSchema {
  readonly number: number;
  /** As in the `.proto` file. */
  readonly name: string;
  readonly jsonName: string;
  /** Of the values, where it is a map. */
  readonly kind: FieldKind;
  /** Full name of the message or enum; empty for scalars. */
  readonly type: string;
  readonly repeated: boolean;
  /** Kind of the keys of a map; null where it is none. */
  readonly mapKey: FieldKind | null;
  readonly packed: boolean;
  /** Unset is another thing than the default value. */
  readonly hasPresence: boolean;
  /** Name of its oneof; null for none, also for that of an `optional` field. */
  readonly oneof: string | null;
  /** From the file, for documentation; empty for none. */
  readonly comment: string;
}

export interface MessageSchema {
  readonly fields: readonly FieldSchema[];
  readonly comment: string;
}

export interface EnumSchema {
  readonly values: readonly (readonly [name: string, number: number])[];
  readonly comment: string;
}

export interface ProtoSchema {
  readonly messages: Readonly<Record<string, MessageSchema>>;
  readonly enums: Readonly<Record<string, EnumSchema>>;
}

/** JSON name that the compiler gives a field without one: `page_size` is `pageSize`. */
export function jsonNameOf(name: string): string {
  return name.replace(/_+(.?)/g, (_, next: string) => next.toUpperCase());
}

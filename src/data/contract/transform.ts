/** What `transform` compiles to. */
import type { ValueTemplate } from './aggregate.ts';
import type { ModuleSettings } from './snapshot.ts';

/** Steps of a path into JSON; `*` is every member or item. */
export type FieldPath = readonly string[];

/** Which fields of a response a caller may see. */
export interface Visibility {
  /** Fields that only these roles see. */
  readonly hide: readonly { readonly fields: readonly FieldPath[]; readonly except: readonly string[] }[];
  /** The first entry that has a role of the caller, or no roles, says what is seen; none: nothing. Null: everything. */
  readonly show: readonly { readonly roles: readonly string[] | null; readonly fields: readonly FieldPath[] }[] | null;
}

/** `hide` and `show` of a service, for what the gateway asks it beside its own routes: parts and handlers. */
export interface VisibilitySettings {
  readonly visibility: Visibility;
  readonly maxBytes: number;
  readonly maxDepth: number;
}

interface WrittenVisibility {
  readonly hide?: readonly { readonly fields: readonly string[]; readonly except: readonly string[] }[] | undefined;
  readonly show?:
    | readonly { readonly fields: readonly string[]; readonly roles?: readonly string[] | undefined }[]
    | undefined;
}

/** Null where every caller sees everything. */
export function visibilityOf({ hide, show }: WrittenVisibility): Visibility | null {
  if (hide === undefined && show === undefined) return null;
  return {
    hide: (hide ?? []).map(({ fields, except }) => ({ fields: fields.map(stepsOf), except })),
    show: show?.map(({ roles, fields }) => ({ roles: roles ?? null, fields: fields.map(stepsOf) })) ?? null,
  };
}

/** RFC 6901. */
export function stepsOf(pointer: string): FieldPath {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** In this order. */
export interface ReshapeSettings {
  /** A JMESPath expression. */
  readonly select: string | null;
  readonly pick: readonly FieldPath[] | null;
  readonly omit: readonly FieldPath[];
  readonly rename: readonly (readonly [path: FieldPath, name: string])[];
  readonly set: readonly (readonly [path: FieldPath, value: ValueTemplate])[];
  /** The whole new body; `body` in it is the one so far. */
  readonly envelope: ValueTemplate | null;
}

export interface BodyTransformSettings {
  readonly visibility: Visibility | null;
  /** A transform in a file of the user's; before `reshape`. */
  readonly script: ModuleSettings | null;
  readonly reshape: ReshapeSettings | null;
  readonly maxBytes: number;
  readonly maxDepth: number;
  /** Bodies that are not JSON. */
  readonly otherTypes: 'pass' | 'refuse';
}

export interface QueryChanges {
  readonly rename: readonly (readonly [from: string, to: string])[];
  readonly remove: readonly string[];
  readonly set: readonly (readonly [name: string, value: ValueTemplate])[];
  readonly add: readonly (readonly [name: string, value: ValueTemplate])[];
}

export interface TransformSettings {
  readonly request: { readonly query: QueryChanges | null; readonly body: BodyTransformSettings | null } | null;
  readonly response: {
    readonly status: readonly (readonly [from: number, to: number])[];
    readonly body: BodyTransformSettings | null;
    /** Bodies of these responses are reshaped; fields are hidden in all. */
    readonly statuses: 'success' | 'all';
  } | null;
}

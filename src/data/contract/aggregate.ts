/** What `aggregate` compiles to. Expressions are kept as they were read (content/expression.ts), as plain data. */

/** Where a value comes from: `parts.user.body.id` is `['parts', 'user', 'body', 'id']`. */
export interface Reference {
  readonly path: readonly string[];
  /** Used when there is no value. */
  readonly fallback?: string | number | boolean | null;
}

/** Texts and references in turn; a template that is one reference alone keeps the type of its value. */
export type Template = readonly (string | Reference)[];

/** JSON whose texts are templates. */
export type ValueTemplate =
  | { readonly kind: 'template'; readonly template: Template }
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  | { readonly kind: 'list'; readonly items: readonly ValueTemplate[] }
  | { readonly kind: 'object'; readonly members: readonly (readonly [name: string, value: ValueTemplate])[] };

export interface PartSettings {
  readonly name: string;
  readonly service: string;
  readonly method: string;
  readonly path: Template;
  readonly query: readonly (readonly [name: string, value: Template])[];
  readonly headers: readonly (readonly [name: string, value: Template])[];
  readonly body: ValueTemplate | null;
  /** A condition in the language of `authorize.when`; null: always. */
  readonly when: string | null;
  readonly timeoutMs: number;
  readonly onFailure:
    | { readonly kind: 'fail' }
    | { readonly kind: 'omit' }
    | { readonly kind: 'default'; readonly value: unknown };
  /** Once for each item of a list, which is `item` in the templates. */
  readonly forEach: { readonly list: Reference; readonly max: number; readonly concurrency: number } | null;
  /** Names of parts whose results it refers to. */
  readonly needs: readonly string[];
}

export interface AggregateSettings {
  /** Each stands behind those that it needs. */
  readonly parts: readonly PartSettings[];
  /** Null: an object with each part's body under its name. */
  readonly response: ValueTemplate | null;
  readonly timeoutMs: number;
  readonly maxPartBytes: number;
  readonly concurrency: number;
  /** Set-Cookie fields of these parts pass. */
  readonly cookiesFrom: readonly string[];
  /** Some template refers to the body of the request. */
  readonly readsBody: boolean;
}

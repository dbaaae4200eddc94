/**
 * What `validate` and `openapi` compile to: operations with their parameters and bodies as plain data. JSON Schemas
 * refer to `#/$defs/NAME` in `definitions`, which all operations share.
 */
import type { JsonSchema } from './user-policy.ts';

export type ParameterPlace = 'path' | 'query' | 'header' | 'cookie';
export type ScalarType = 'string' | 'number' | 'boolean';

/** How the text of a parameter becomes the value that the schema is about. */
export type ParameterForm =
  | { readonly kind: 'scalar'; readonly types: readonly ScalarType[] }
  /** `separator` null: the name is repeated, `tag=a&tag=b`. */
  | { readonly kind: 'list'; readonly separator: string | null; readonly types: readonly ScalarType[] }
  | { readonly kind: 'json' };

export interface ParameterSettings {
  readonly in: ParameterPlace;
  /** Header names in lower case. */
  readonly name: string;
  readonly required: boolean;
  readonly form: ParameterForm;
  readonly schema: JsonSchema;
}

export interface BodyTypeSettings {
  /** `application/json`, `text/*`, `*` + `/*`, or `application/*+json`; lower case. */
  readonly type: string;
  /** `lines`, `events`: the schema is that of each JSON value in the stream. */
  readonly kind: 'json' | 'form' | 'multipart' | 'lines' | 'events' | 'other';
  /** Null: anything of this type. */
  readonly schema: JsonSchema | null;
  /** For forms: the types that each field's text may be read as. */
  readonly fields: Readonly<Record<string, ParameterForm>>;
  /** For `multipart`. */
  readonly multipart?: MultipartSettings;
}

export interface PartSettings {
  readonly name: string;
  readonly isFile: boolean;
  readonly required: boolean;
  /** How many parts may have the name. */
  readonly maxCount: number;
  /** Of one part. */
  readonly maxBytes: number;
  /** Of a file: content types as declared, such as `image/*`; null for any. */
  readonly types: readonly string[] | null;
  /** Of a file: lower-case ends of its name; null for any. */
  readonly extensions: readonly string[] | null;
  /** Of a field: how its text is read. A list is what all parts of the name make together. */
  readonly form: ParameterForm;
  /** Of a field; null for any value. */
  readonly schema: JsonSchema | null;
}

export interface MultipartSettings {
  readonly parts: readonly PartSettings[];
  readonly unknownParts: 'refuse' | 'pass';
  readonly maxParts: number;
}

export interface BodySettings {
  readonly required: boolean;
  readonly types: readonly BodyTypeSettings[];
}

export interface OperationSettings {
  /** Upper case; null for any. */
  readonly method: string | null;
  /** Template such as `/pets/{id}`; null: any path, and path parameters are the route's own. */
  readonly path: string | null;
  readonly parameters: readonly ParameterSettings[];
  /** Null: nothing is said about the body. */
  readonly body: BodySettings | null;
  /** Absent: responses are not looked at. Otherwise from the exact status to the ranges to the default. */
  readonly responses?: readonly ResponseSettings[];
}

export interface ResponseSettings {
  /** `200`, `2XX` or `default`. */
  readonly status: string;
  /** In place `header`. */
  readonly headers: readonly ParameterSettings[];
  /** Null: nothing is said about the body. */
  readonly types: readonly BodyTypeSettings[] | null;
}

export interface ResponseRules {
  /** What becomes of a response that is wrong: 502 in its place, or a word in the access record. */
  readonly mode: 'refuse' | 'report';
  /** A status that is not described. */
  readonly unknownStatuses: 'refuse' | 'pass';
  /** Largest body that is held to be checked. */
  readonly maxBodyBytes: number;
  readonly definitions: Readonly<Record<string, JsonSchema>>;
}

export interface ValidateSettings {
  readonly operations: readonly OperationSettings[];
  readonly definitions: Readonly<Record<string, JsonSchema>>;
  /** Taken off the front of the request's path before an operation is looked for. */
  readonly basePath: string;
  /** What happens to a request for which there is no operation. */
  readonly unknownOperations: 'refuse' | 'pass';
  readonly unknownQuery: 'refuse' | 'pass';
  readonly mode: 'refuse' | 'report';
  /** Largest body that is read to be checked. */
  readonly maxBodyBytes: number;
  readonly maxDepth: number;
  readonly safeIntegers: boolean;
  /** Null: no operation looks at responses. */
  readonly response: ResponseRules | null;
}

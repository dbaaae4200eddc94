/** What every route of the cluster API is made of. */
import { type OpenAPIHono, z } from '@hono/zod-openapi';

/** What a route knows of who calls, from the middleware in front of it: a caller of the API, or a node. */
export interface ClusterEnv {
  readonly Variables: { readonly caller: string; readonly node: string };
}
export type ClusterApp = OpenAPIHono<ClusterEnv>;

/** Parameter of a path that names one thing. */
export const ID = z.object({ id: z.string().min(1).max(64) });

/** A response with JSON of this schema. */
export function json<Schema extends z.ZodType>(schemaOf: Schema, description: string) {
  return { description, content: { 'application/json': { schema: schemaOf } } };
}

export function body<Schema extends z.ZodType>(schemaOf: Schema) {
  return { required: true, content: { 'application/json': { schema: schemaOf } } };
}

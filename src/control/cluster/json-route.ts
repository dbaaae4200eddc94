/** The two shapes that every route of the cluster API is made of. */
import type { z } from '@hono/zod-openapi';

/** A response with JSON of this schema. */
export function json<Schema extends z.ZodType>(schemaOf: Schema, description: string) {
  return { description, content: { 'application/json': { schema: schemaOf } } };
}

export function body<Schema extends z.ZodType>(schemaOf: Schema) {
  return { required: true, content: { 'application/json': { schema: schemaOf } } };
}

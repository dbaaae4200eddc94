/**
 * The whole document: the one source of what a configuration may say. The checker (validate.ts), the types (define.ts),
 * the JSON Schema (json-schema.ts) and the reference page are all made from this object.
 */
import * as z from 'zod';
import { extensionShape } from './extensions.ts';
import { serviceName } from './fields.ts';
import type { GatewayOptions } from './gateway.ts';
import { gatewaySchema } from './gateway.ts';
import type { RouteOptions } from './route.ts';
import { routeSchema } from './route.ts';
import type { ServiceOptions } from './service.ts';
import { serviceSchema } from './service.ts';

const core = {
  $schema: z.string().optional().describe('JSON Schema of this file, for editors.'),
  gateway: gatewaySchema
    .prefault({})
    .describe('Where the gateway listens, what it grants to connections, how it talks about itself.'),
  services: z.record(serviceName(), serviceSchema).prefault({}).describe('Services behind the gateway, by name.'),
  routes: z
    .array(routeSchema)
    .max(16_000)
    .prefault([])
    .describe(
      'Which requests go where. The more exact match goes first, whatever the order; that decides only between equals.',
    ),
};

export const documentSchema = z.strictObject({
  ...core,
  ...(extensionShape('top', Object.keys(core)) as object),
});

/** A checked document with every default in place. Keys of features are there too, and typed in their own files. */
export interface ConfigDocument {
  readonly gateway: GatewayOptions;
  readonly services: Readonly<Record<string, ServiceOptions>>;
  readonly routes: readonly RouteOptions[];
}

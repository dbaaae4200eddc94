/**
 * The section `issuers`: outside issuers of tokens by name, so that routes can say `jwt: {}` and mean all of them, or
 * name some. They are compiled where a route uses them (data/policies/auth-issuers.options.ts); control fetches keys
 * for those that some route trusts (service.ts).
 */
import * as z from 'zod';
import { issuerSchema } from '../../data/catalog.ts';
import { defineSection } from '../config/section.ts';

const name = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'must be a name of letters, digits, ".", "_" and "-"')
  .refine((text) => text !== 'identity', 'identity is the name of the built-in identity service');

export const issuersSection = defineSection({
  at: 'top',
  key: 'issuers',
  schema: z.record(name, issuerSchema).describe('Issuers whose tokens routes can trust, by name.'),
  compile: () => undefined,
});

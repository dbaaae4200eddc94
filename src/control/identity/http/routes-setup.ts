/** Route: the first administrator, by the one-time link that is printed while there is none. */
import { Hono } from 'hono';
import * as z from 'zod';
import { createFirstAdmin } from '../accounts/first-admin.ts';
import { publicUser } from '../accounts/register.ts';
import type { IdentityContext } from '../context.ts';
import type { Env } from './actor.ts';
import * as field from './fields.ts';
import { readBody } from './validate.ts';

export function setupRoutes(context: IdentityContext): Hono<Env> {
  const app = new Hono<Env>();
  app.post('/setup', async (c) => {
    const schema = z.strictObject({
      token: field.opaque('the code of the link'),
      email: field.email,
      password: field.password,
      username: field.username.optional(),
    });
    const body = await readBody(c.req.raw, schema);
    return c.json(publicUser(await createFirstAdmin(context, body, c.get('caller'))), 201);
  });
  return app;
}

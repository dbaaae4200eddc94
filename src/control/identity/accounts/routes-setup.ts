/** Route: the first administrator, by the one-time link that is printed while there is none. */
import { Hono } from 'hono';
import * as z from 'zod';
import type { IdentityContext } from '../context.ts';
import * as field from '../fields.ts';
import type { Env } from '../http/actor.ts';
import { readBody } from '../http/validate.ts';
import { createFirstAdmin } from './first-admin.ts';
import { publicUser } from './register.ts';

/** What each operation is sent (its body, or the query of a GET); api-description.ts describes them. */
export const setupBodies = {
  'POST /setup': z.strictObject({
    token: field.opaque('the code of the link'),
    email: field.email,
    password: field.password,
    username: field.username.optional(),
  }),
};

export function setupRoutes(context: IdentityContext): Hono<Env> {
  const app = new Hono<Env>();
  app.post('/setup', async (c) => {
    const body = await readBody(c.req.raw, setupBodies['POST /setup']);
    return c.json(publicUser(await createFirstAdmin(context, body, c.get('caller'))), 201);
  });
  return app;
}

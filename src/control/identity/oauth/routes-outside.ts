/** Routes: signing in with an outside provider. The exchange itself is in outside.ts. */
import { Hono } from 'hono';
import type { IdentityContext } from '../context.ts';
import type { Env } from '../http/actor.ts';

export function outsideRoutes(_context: IdentityContext): Hono<Env> {
  return new Hono<Env>();
}

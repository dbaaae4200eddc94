/**
 * Join tokens over HTTP: make, list, revoke. The text of one is shown once, when it is made, since the store keeps only
 * its digest; later it is known by its id. Called by app.ts.
 */
import { createRoute, z } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import type { Right } from './caller.ts';
import type { Cluster } from './cluster.ts';
import { body, type ClusterApp, type ClusterEnv, ID, json } from './json-route.ts';
import * as schema from './schemas.ts';

export function addTokenRoutes(
  app: ClusterApp,
  { joinTokens }: Cluster,
  needs: (right: Right) => MiddlewareHandler<ClusterEnv>,
): void {
  app.openapi(
    createRoute({
      method: 'post',
      path: '/cluster/tokens',
      middleware: needs('admin'),
      summary: 'Make a join token; it is shown once',
      request: { body: body(schema.joinTokenSchema) },
      responses: { 201: json(schema.madeTokenSchema, 'The token.') },
    }),
    async (context) => {
      const who = context.get('caller');
      const { ttl_ms, ...wanted } = context.req.valid('json');
      const made = await joinTokens.create({ ...wanted, ttlMs: ttl_ms, createdBy: who });
      return context.json({ id: made.id, token: made.token, expires_at: schema.iso(made.expiresAtMs) }, 201);
    },
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/cluster/tokens',
      middleware: needs('admin'),
      summary: 'Join tokens that still let a node join, newest first, without their texts',
      responses: { 200: json(z.object({ tokens: z.array(schema.listedTokenSchema) }), 'The tokens.') },
    }),
    async (context) => {
      return context.json({ tokens: (await joinTokens.list()).map(schema.shownToken) }, 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'delete',
      path: '/cluster/tokens/{id}',
      middleware: needs('admin'),
      summary: 'Revoke a join token; nodes that joined with it stay',
      request: { params: ID },
      responses: { 204: { description: 'Done.' } },
    }),
    async (context) => {
      await joinTokens.revoke(context.req.valid('param').id, context.get('caller'));
      return context.body(null, 204);
    },
  );
}

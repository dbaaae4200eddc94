/**
 * Rollouts of a configuration over HTTP, and the versions that they made: propose, look, abort, compare. What a rollout
 * does is in rollout.ts.
 */
import { createRoute, z } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import type { Right } from './caller.ts';
import type { Cluster } from './cluster.ts';
import { body, type ClusterApp, type ClusterEnv, ID, json } from './json-route.ts';
import { lineDifference } from './line-difference.ts';
import { checkSettings } from './rollout.ts';
import * as schema from './schemas.ts';

const VERSION = z.object({ version: z.coerce.number().int().min(1) });

export interface RolloutRouteParts {
  readonly needs: (right: Right) => MiddlewareHandler<ClusterEnv>;
  /** In front of all paths, such as `/api/v1`. */
  readonly path: string;
}

export function addRolloutRoutes(app: ClusterApp, cluster: Cluster, { needs, path }: RolloutRouteParts): void {
  app.openapi(
    createRoute({
      method: 'post',
      path: '/cluster/rollouts',
      middleware: needs('admin'),
      summary: 'Roll a configuration out: checked everywhere, tried on a few, then on all',
      request: { body: body(schema.newRolloutSchema) },
      responses: { 202: json(schema.rolloutSchema, 'It has begun.') },
    }),
    async (context) => {
      const who = context.get('caller');
      const wanted = context.req.valid('json');
      const settings = {
        ...cluster.plan.rollout,
        ...(wanted.watch_ms === undefined ? {} : { watchMs: wanted.watch_ms, waveWatchMs: wanted.watch_ms / 2 }),
        ...(wanted.wave_watch_ms === undefined ? {} : { waveWatchMs: wanted.wave_watch_ms }),
        ...(wanted.judge_within_ms === undefined ? {} : { judgeWithinMs: wanted.judge_within_ms }),
        ...(wanted.waves === undefined ? {} : { waves: wanted.waves }),
        ...(wanted.canary_share === undefined ? {} : { canaryShare: wanted.canary_share }),
      };
      checkSettings(settings);
      const document = wanted.document ?? (await cluster.rollouts.version(wanted.version ?? 0)).document;
      const { reason, force } = wanted;
      const rollout = await cluster.rollouts.propose({ document, author: who, reason, settings, force });
      context.header('location', `${path}/cluster/rollouts/${rollout.id}`);
      return context.json(schema.shownRollout(rollout), 202);
    },
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/cluster/rollouts',
      middleware: needs('read'),
      summary: 'Rollouts, newest first',
      responses: { 200: json(z.object({ rollouts: z.array(schema.rolloutSchema) }), 'The rollouts.') },
    }),
    async (context) => {
      return context.json({ rollouts: (await cluster.rollouts.list(100)).map(schema.shownRollout) }, 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/cluster/rollouts/{id}',
      middleware: needs('read'),
      summary: 'One rollout',
      request: { params: ID },
      responses: { 200: json(schema.rolloutSchema, 'The rollout.') },
    }),
    async (context) => {
      return context.json(schema.shownRollout(await cluster.rollouts.get(context.req.valid('param').id)), 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/cluster/rollouts/{id}/abort',
      middleware: needs('admin'),
      summary: 'Undo a rollout that is not finished',
      request: { params: ID, body: body(schema.reasonSchema) },
      responses: { 200: json(schema.rolloutSchema, 'The rollout.') },
    }),
    async (context) => {
      const who = context.get('caller');
      const { reason } = context.req.valid('json');
      const rollout = await cluster.rollouts.abort(context.req.valid('param').id, who, reason);
      return context.json(schema.shownRollout(rollout), 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/cluster/versions',
      middleware: needs('read'),
      summary: 'Versions of the configuration, newest first',
      responses: { 200: json(z.object({ versions: z.array(schema.versionSchema) }), 'The versions.') },
    }),
    async (context) => {
      return context.json({ versions: (await cluster.rollouts.versions(200)).map(schema.shownVersion) }, 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/cluster/versions/{version}',
      middleware: needs('admin'),
      summary: 'One version, with its document',
      request: { params: VERSION },
      responses: { 200: json(schema.versionSchema, 'The version.') },
    }),
    async (context) => {
      const version = await cluster.rollouts.version(context.req.valid('param').version);
      return context.json(schema.shownVersion(version), 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/cluster/versions/{version}/difference',
      middleware: needs('admin'),
      summary: 'What a version changed, line by line',
      request: {
        params: VERSION,
        query: z.object({ from: z.coerce.number().int().min(0).optional() }),
      },
      responses: { 200: json(schema.differenceSchema, 'The lines.') },
    }),
    async (context) => {
      const { version } = context.req.valid('param');
      const { from = version - 1 } = context.req.valid('query');
      const { document } = await cluster.rollouts.version(version);
      const before = from === 0 ? '' : (await cluster.rollouts.version(from)).document;
      return context.json({ version, from, lines: lineDifference(before, document) }, 200);
    },
  );
}

/**
 * The cluster API over HTTP, for people and applications. The gateway serves it as `builtin:cluster`, so that TLS,
 * authentication, limits and logs are the gateway's; the command line has it on a socket of its own. Nodes have calls
 * of their own (node-app.ts). Schemas are in schemas.ts; `GET /cluster/openapi.json` is made of them.
 */
import { randomUUID } from 'node:crypto';
import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { errorBody } from '../../base/error-body.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { ErrorFormat } from '../../data/contract/snapshot.ts';
import { fieldProblems } from '../field-problems.ts';
import type { Mapping } from '../openapi-document.ts';
import { isUnavailable } from '../store/faults.ts';
import type { ReadCaller, Right } from './caller.ts';
import { callerWith } from './caller.ts';
import type { Cluster } from './cluster.ts';
import { addEventRoutes } from './event-routes.ts';
import { body, type ClusterApp, type ClusterEnv, ID, json } from './json-route.ts';
import { addNodeApp } from './node-app.ts';
import { ClusterRefusal } from './refusal.ts';
import { addRolloutRoutes } from './rollout-routes.ts';
import * as schema from './schemas.ts';
import { addTokenRoutes } from './token-routes.ts';

export interface AppParts {
  readonly cluster: Cluster;
  readonly caller: ReadCaller;
  readonly errorFormat: () => ErrorFormat;
  readonly log: Logger;
  /** Such as `/api/v1`. */
  readonly path: string;
  readonly version: string;
}

export function createClusterApp(parts: AppParts): ClusterApp {
  const { cluster, caller, log } = parts;
  const app = new OpenAPIHono<ClusterEnv>({
    defaultHook: (result) => {
      if (result.success) return;
      const fields = fieldProblems(result.error, 'data' in result ? result.data : undefined);
      throw new ClusterRefusal(400, 'VALIDATION_ERROR', 'the request is not valid', fields);
    },
  }).basePath(parts.path);
  /** Runs before the schemas look at anything: who may not call learns nothing of what is asked for. */
  const needs =
    (right: Right): MiddlewareHandler<ClusterEnv> =>
    (context, next) => {
      context.set('caller', callerWith(right, caller, context).name);
      return next();
    };

  app.onError((error, context) => refuse(context, error, parts));
  app.notFound((context) =>
    refuse(context, new ClusterRefusal(404, 'RESOURCE_NOT_FOUND', 'there is no such endpoint'), parts),
  );
  app.use(async (context, next) => {
    context.header('cache-control', 'no-store');
    await next();
  });
  app.use(
    bodyLimit({
      maxSize: schema.MAX_DOCUMENT_BYTES + 64 * 1024,
      onError: (context) =>
        refuse(context, new ClusterRefusal(413, 'PAYLOAD_TOO_LARGE', 'the body is too large'), parts),
    }),
  );

  addNodeApp(app, cluster);
  addEventRoutes(app, cluster, needs('read'));
  addRolloutRoutes(app, cluster, { needs, path: parts.path });
  addTokenRoutes(app, cluster, needs);

  // --- status --------------------------------------------------------------------------------------------------------

  const statusSchema = z
    .object({
      name: z.string(),
      status: z.enum(['healthy', 'degraded', 'unhealthy']),
      queen: z.string().nullable(),
      epoch: z.int(),
      node: z.string(),
      version: z.int(),
      nodes: z.record(z.string(), z.int()),
      tasks: z.record(z.string(), z.int()),
      // A union: a reference that is `nullable` is described as an object and null at once, which nothing is.
      rollout: z.union([schema.rolloutSchema, z.null()]),
      timestamp: z.iso.datetime(),
    })
    .openapi('Status');

  app.openapi(
    createRoute({
      method: 'get',
      path: '/cluster',
      middleware: needs('read'),
      summary: 'Status of the cluster',
      responses: { 200: json(statusSchema, 'The status.') },
    }),
    async (context) => {
      return context.json(await cluster.status(), 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/cluster/health',
      middleware: needs('read'),
      summary: 'Whether the store answers and there is a queen',
      responses: {
        200: json(z.object({ status: z.string(), queen: z.string().nullable() }), 'It works.'),
        503: json(z.object({ status: z.string(), queen: z.string().nullable() }), 'It does not.'),
      },
    }),
    async (context) => {
      const { status, queen } = await cluster.status();
      return context.json({ status, queen }, status === 'unhealthy' ? 503 : 200);
    },
  );

  // --- nodes ---------------------------------------------------------------------------------------------------------

  app.openapi(
    createRoute({
      method: 'get',
      path: '/nodes',
      middleware: needs('read'),
      summary: 'All nodes',
      request: { query: z.object({ all: z.enum(['true', 'false']).default('false') }) },
      responses: { 200: json(z.object({ nodes: z.array(schema.nodeSchema) }), 'The nodes, by name.') },
    }),
    async (context) => {
      const [nodes, queen] = [
        await cluster.members.list({ all: context.req.valid('query').all === 'true' }),
        await cluster.queenName(),
      ];
      return context.json({ nodes: nodes.map((node) => schema.shownNode(node, queen)) }, 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/nodes/{id}',
      middleware: needs('read'),
      summary: 'One node',
      request: { params: ID },
      responses: { 200: json(schema.nodeSchema, 'The node.') },
    }),
    async (context) => {
      const node = await cluster.members.get(context.req.valid('param').id);
      return context.json(schema.shownNode(node, await cluster.queenName()), 200);
    },
  );
  for (const [action, state, summary] of [
    ['cordon', 'cordoned', 'Give the node no new tasks'],
    ['drain', 'draining', 'Give the node no new tasks and no traffic'],
    ['activate', 'active', 'Use a cordoned or draining node again'],
    ['remove', 'left', 'Take the node out; its token ends'],
  ] as const)
    app.openapi(
      createRoute({
        method: 'post',
        path: `/nodes/{id}/${action}` as const,
        middleware: needs('operate'),
        summary,
        request: { params: ID, body: body(schema.reasonSchema) },
        responses: { 200: json(schema.nodeSchema, 'The node.') },
      }),
      async (context) => {
        const who = context.get('caller');
        const { reason } = context.req.valid('json');
        const node = await cluster.members.setState(context.req.valid('param').id, state, reason, who);
        return context.json(schema.shownNode(node, await cluster.queenName()), 200);
      },
    );
  app.openapi(
    createRoute({
      method: 'put',
      path: '/nodes/{id}/labels',
      middleware: needs('operate'),
      summary: 'Replace the labels of a node',
      request: { params: ID, body: body(schema.labelsSchema) },
      responses: { 200: json(schema.nodeSchema, 'The node.') },
    }),
    async (context) => {
      const who = context.get('caller');
      const { labels } = context.req.valid('json');
      const node = await cluster.members.setLabels(context.req.valid('param').id, labels, who);
      return context.json(schema.shownNode(node, await cluster.queenName()), 200);
    },
  );

  // --- tasks and messages --------------------------------------------------------------------------------------------

  app.openapi(
    createRoute({
      method: 'post',
      path: '/cluster/tasks',
      middleware: needs('tasks'),
      summary: 'Put a task in; an Idempotency-Key makes twice the same as once',
      request: {
        headers: z.object({ 'idempotency-key': z.string().min(1).max(128).optional() }),
        body: body(schema.newTaskSchema),
      },
      responses: { 200: json(schema.taskSchema, 'It was there.'), 202: json(schema.taskSchema, 'It is queued.') },
    }),
    async (context) => {
      const who = context.get('caller');
      const { max_attempts, timeout_ms, payload, ...wanted } = context.req.valid('json');
      if (JSON.stringify(payload ?? null).length > schema.MAX_PAYLOAD_BYTES)
        throw new ClusterRefusal(413, 'PAYLOAD_TOO_LARGE', `a payload has at most ${schema.MAX_PAYLOAD_BYTES} bytes`);
      const key = context.req.valid('header')['idempotency-key'];
      const { task, isNew } = await cluster.tasks.create({
        ...wanted,
        payload,
        maxAttempts: max_attempts,
        timeoutMs: timeout_ms,
        dedupe: key === undefined ? null : `${who} ${key}`,
        createdBy: who,
      });
      context.header('location', `${parts.path}/cluster/tasks/${task.id}`);
      return context.json(schema.shownTask(task), isNew ? 202 : 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/cluster/tasks',
      middleware: needs('read'),
      summary: 'Tasks, newest first',
      request: { query: schema.taskListQuery },
      responses: { 200: json(z.object({ tasks: z.array(schema.taskSchema) }), 'The tasks.') },
    }),
    async (context) => {
      const { state, kind, limit } = context.req.valid('query');
      const tasks = await cluster.tasks.list({
        limit,
        ...(state === undefined ? {} : { state }),
        ...(kind === undefined ? {} : { kind }),
      });
      return context.json({ tasks: tasks.map(schema.shownTask) }, 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/cluster/tasks/{id}',
      middleware: needs('read'),
      summary: 'One task',
      request: { params: ID },
      responses: { 200: json(schema.taskSchema, 'The task.') },
    }),
    async (context) => {
      return context.json(schema.shownTask(await cluster.tasks.get(context.req.valid('param').id)), 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'delete',
      path: '/cluster/tasks/{id}',
      middleware: needs('tasks'),
      summary: 'Cancel a task that is not finished',
      request: { params: ID },
      responses: { 200: json(schema.taskSchema, 'The task.') },
    }),
    async (context) => {
      return context.json(schema.shownTask(await cluster.tasks.cancel(context.req.valid('param').id)), 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/cluster/messages',
      middleware: needs('operate'),
      summary: 'Send a message to a node, or to all',
      request: {
        headers: z.object({ 'idempotency-key': z.string().min(1).max(128).optional() }),
        body: body(schema.newMessageSchema),
      },
      responses: { 202: json(z.object({ sent_to: z.int() }), 'It is kept until it is acknowledged.') },
    }),
    async (context) => {
      const who = context.get('caller');
      const { ttl_ms, ...message } = context.req.valid('json');
      const { sentTo } = await cluster.messages.send({
        ...message,
        from: who,
        ttlMs: ttl_ms,
        dedupe: context.req.valid('header')['idempotency-key'] ?? null,
      });
      return context.json({ sent_to: sentTo }, 202);
    },
  );

  app.get('/cluster/openapi.json', needs('read'), async (context) => {
    const { whole } = await import('./openapi.ts');
    const info = { title: 'Gatehouse cluster', version: parts.version };
    const document = app.getOpenAPI31Document({ openapi: '3.1.0', info });
    return context.json(whole(document as unknown as Mapping, parts.errorFormat()));
  });
  log.debug('the cluster API is ready', { path: parts.path });
  return app;
}

function refuse(context: Context, error: unknown, { errorFormat, log }: AppParts): Response {
  const known = error instanceof ClusterRefusal ? error : refusalOf(error, log);
  const { contentType, body: text } = errorBody(
    {
      status: known.status as 400,
      code: known.code,
      message: known.message,
      fields: known.fields,
    },
    {
      format: errorFormat(),
      accept: context.req.header('accept'),
      requestId: context.req.header('x-request-id') ?? randomUUID(),
      path: context.req.path,
      wallMs: Date.now(),
    },
  );
  const headers: Record<string, string> = { 'content-type': contentType, 'cache-control': 'no-store' };
  if (known.status === 503 || known.status === 429) headers['retry-after'] = '1';
  if (known.status === 401) headers['www-authenticate'] = 'Bearer realm="gatehouse cluster"';
  return context.body(text, known.status, headers);
}

function refusalOf(
  error: unknown,
  log: Logger,
): { status: 400 | 500 | 503; code: string; message: string; fields?: undefined } {
  if (isUnavailable(error))
    return { status: 503, code: 'SERVICE_UNAVAILABLE', message: 'the store of the cluster is away; try again' };
  // Hono's own: a body that is no JSON.
  if ((error as { status?: unknown }).status === 400)
    return { status: 400, code: 'VALIDATION_ERROR', message: 'the body is not JSON' };
  log.error('the cluster API failed', { reason: messageOf(error) });
  return { status: 500, code: 'INTERNAL_ERROR', message: 'internal error' };
}

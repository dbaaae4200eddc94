/**
 * What nodes call: join with a join token or a client certificate, then, with the token of their own that this gave
 * them, heartbeats, tasks and messages. The routes have no authentication of the gateway in front, so every call brings
 * its token in `Authorization` and is counted here: a node that runs wild and a client that guesses tokens get 429.
 */
import { createRoute, z } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { CallLimits } from './call-limits.ts';
import { certifiedName } from './caller.ts';
import type { Cluster } from './cluster.ts';
import { body, type ClusterApp, type ClusterEnv, ID, json } from './json-route.ts';
import type { CertifiedNode } from './members.ts';
import { ClusterRefusal } from './refusal.ts';
import * as schema from './schemas.ts';

const messageId = z.object({ id: z.coerce.number().int().min(1) });

export function addNodeApp(app: ClusterApp, cluster: Cluster): void {
  const { members, tasks, messages } = cluster;
  /** Per address: joining, and tokens that are wrong. Per node: everything. */
  const strangers = new CallLimits({ perSecond: 1, burst: 20 }, cluster.clock);
  const nodes = new CallLimits({ perSecond: 100, burst: 400 }, cluster.clock);

  /** Runs before the schemas, so that guessing tokens with wrong bodies is counted too. */
  const self: MiddlewareHandler<ClusterEnv> = async (context, next) => {
    const token = /^Bearer +(ghn_[\w-]{20,100})$/i.exec(context.req.header('authorization') ?? '')?.[1];
    if (token === undefined) {
      strangers.take(addressOf(context));
      throw new ClusterRefusal(401, 'AUTHENTICATION_REQUIRED', 'a node token is needed; join first');
    }
    nodes.take(token);
    try {
      context.set('node', await members.authenticate(token));
    } catch (error) {
      if (error instanceof ClusterRefusal && error.status === 401) strangers.take(addressOf(context));
      throw error;
    }
    await next();
  };
  const stranger: MiddlewareHandler<ClusterEnv> = (context, next) => {
    strangers.take(addressOf(context));
    return next();
  };
  const certified: MiddlewareHandler<ClusterEnv> = (context, next) => {
    context.set('node', certifiedName(context));
    return next();
  };

  const joined = z.object({ node: schema.nodeSchema, token: z.string(), heartbeat_ms: z.int() }).openapi('Joined');
  app.openapi(
    createRoute({
      method: 'post',
      path: '/cluster/join',
      middleware: stranger,
      summary: 'A worker joins with a join token and gets its own token, shown once',
      request: { body: body(schema.joinSchema) },
      responses: { 201: json(joined, 'It has joined.') },
    }),
    async (context) => {
      const token = /^Bearer +(\S{1,200})$/i.exec(context.req.header('authorization') ?? '')?.[1];
      if (token === undefined)
        throw new ClusterRefusal(401, 'AUTHENTICATION_REQUIRED', 'a join token is needed in Authorization');
      const made = await members.join(token, { ...context.req.valid('json'), kind: 'worker' });
      const node = schema.shownNode(made.node, null);
      return context.json({ node, token: made.token, heartbeat_ms: cluster.plan.heartbeatMs }, 201);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/cluster/join-by-certificate',
      middleware: certified,
      summary: 'A worker joins under the name in its client certificate and gets its own token, shown once',
      request: { body: body(schema.joinSchema) },
      responses: { 201: json(joined, 'It has joined.') },
    }),
    async (context) => {
      const name = context.get('node');
      const wanted = context.req.valid('json');
      if (wanted.name !== name)
        throw new ClusterRefusal(403, 'INSUFFICIENT_PERMISSIONS', `the certificate is that of ${JSON.stringify(name)}`);
      const made = await members.joinByCertificate({ ...wanted, kind: 'worker' }, certifiedAs(cluster, name));
      const node = schema.shownNode(made.node, null);
      return context.json({ node, token: made.token, heartbeat_ms: cluster.plan.heartbeatMs }, 201);
    },
  );

  const state = z
    .object({ id: z.string(), state: z.string(), labels: z.record(z.string(), z.string()), heartbeat_ms: z.int() })
    .openapi('Self');
  app.openapi(
    createRoute({
      method: 'put',
      path: '/cluster/self/heartbeat',
      middleware: self,
      summary: 'A sign of life of this node',
      request: { body: body(schema.heartbeatSchema) },
      responses: { 200: json(state, 'What the node should know.') },
    }),
    async (context) => {
      const id = context.get('node');
      const { node } = await members.heartbeat(id, context.req.valid('json'));
      const { labels } = node;
      return context.json(
        { id, state: node.state, labels: { ...labels }, heartbeat_ms: cluster.plan.heartbeatMs },
        200,
      );
    },
  );
  app.openapi(
    createRoute({
      method: 'delete',
      path: '/cluster/self/node',
      middleware: self,
      summary: 'This node leaves',
      responses: { 204: { description: 'It has left.' } },
    }),
    async (context) => {
      await members.leave(context.get('node'));
      return context.body(null, 204);
    },
  );

  // --- tasks ---------------------------------------------------------------------------------------------------------

  app.openapi(
    createRoute({
      method: 'get',
      path: '/cluster/self/tasks',
      middleware: self,
      summary: 'Tasks that were given to this node; waits for one up to `wait` seconds',
      request: { query: schema.afterQuery },
      responses: { 200: json(z.object({ tasks: z.array(schema.taskSchema) }), 'The tasks.') },
    }),
    async (context) => {
      const id = context.get('node');
      const { limit, wait } = context.req.valid('query');
      const found = await until(context, id, wait, () => tasks.assignedTo(id, limit));
      return context.json({ tasks: found.map(schema.shownTask) }, 200);
    },
  );
  for (const action of ['accept', 'progress'] as const)
    app.openapi(
      createRoute({
        method: 'post',
        path: `/cluster/self/tasks/{id}/${action}` as const,
        middleware: self,
        summary: action === 'accept' ? 'This node begins the task' : 'How far it is; a sign of life of the task',
        request: { params: ID, body: body(schema.reportSchema) },
        responses: { 200: json(schema.taskSchema, 'The task.') },
      }),
      async (context) => {
        const id = context.get('node');
        const task = await tasks[action](context.req.valid('param').id, id, context.req.valid('json'));
        return context.json(schema.shownTask(task), 200);
      },
    );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/cluster/self/tasks/{id}/complete',
      middleware: self,
      summary: 'The task is done',
      request: { params: ID, body: body(schema.resultSchema) },
      responses: { 200: json(schema.taskSchema, 'The task.') },
    }),
    async (context) => {
      const id = context.get('node');
      const { attempt, result } = context.req.valid('json');
      if (JSON.stringify(result ?? null).length > schema.MAX_PAYLOAD_BYTES)
        throw new ClusterRefusal(413, 'PAYLOAD_TOO_LARGE', `a result has at most ${schema.MAX_PAYLOAD_BYTES} bytes`);
      return context.json(
        schema.shownTask(await tasks.complete(context.req.valid('param').id, id, attempt, result)),
        200,
      );
    },
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/cluster/self/tasks/{id}/fail',
      middleware: self,
      summary: 'The task failed here; `final` says that another try would fail too',
      request: { params: ID, body: body(schema.failureSchema) },
      responses: { 200: json(schema.taskSchema, 'The task.') },
    }),
    async (context) => {
      const id = context.get('node');
      const { attempt, error, final } = context.req.valid('json');
      return context.json(
        schema.shownTask(await tasks.fail(context.req.valid('param').id, id, attempt, error, final)),
        200,
      );
    },
  );

  // --- messages ------------------------------------------------------------------------------------------------------

  app.openapi(
    createRoute({
      method: 'get',
      path: '/cluster/self/messages',
      middleware: self,
      summary: 'Messages to this node that it has not acknowledged; waits for one up to `wait` seconds',
      request: { query: schema.afterQuery },
      responses: { 200: json(z.object({ messages: z.array(schema.messageSchema) }), 'The messages.') },
    }),
    async (context) => {
      const id = context.get('node');
      const { after, limit, wait } = context.req.valid('query');
      const found = await until(context, id, wait, () => messages.read(id, after, limit));
      return context.json({ messages: found.map(schema.shownMessage) }, 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/cluster/self/messages',
      middleware: self,
      summary: 'This node sends a message to another one, or to all',
      request: {
        headers: z.object({ 'idempotency-key': z.string().min(1).max(128).optional() }),
        body: body(schema.newMessageSchema),
      },
      responses: { 202: json(z.object({ sent_to: z.int() }), 'It is kept until it is acknowledged.') },
    }),
    async (context) => {
      const from = context.get('node');
      const { ttl_ms, ...message } = context.req.valid('json');
      const dedupe = context.req.valid('header')['idempotency-key'] ?? null;
      const { sentTo } = await messages.send({ ...message, from, ttlMs: ttl_ms, dedupe });
      return context.json({ sent_to: sentTo }, 202);
    },
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/cluster/self/messages/{id}/ack',
      middleware: self,
      summary: 'This node has dealt with the message',
      request: { params: messageId },
      responses: { 204: { description: 'It is not delivered again.' } },
    }),
    async (context) => {
      await messages.acknowledge(context.get('node'), context.req.valid('param').id);
      return context.body(null, 204);
    },
  );

  /** What `read` gives: at once, or when there is something for the node, up to so many seconds. */
  async function until<T>(
    context: Context,
    nodeId: string,
    seconds: number,
    read: () => Promise<readonly T[]>,
  ): Promise<readonly T[]> {
    const deadline = cluster.clock.monotonicMs() + seconds * 1_000;
    const { signal } = context.req.raw;
    for (;;) {
      const found = await read();
      const leftMs = deadline - cluster.clock.monotonicMs();
      if (found.length > 0 || leftMs <= 0 || signal.aborted || cluster.isClosed) return found;
      await cluster.waitRoom.wait(nodeId, leftMs, signal);
    }
  }
}

function certifiedAs({ plan: { certified } }: Cluster, name: string): CertifiedNode | undefined {
  return Object.hasOwn(certified, name) ? certified[name] : undefined;
}

/** The gateway writes the client's address as the last one. */
function addressOf(context: Context): string {
  return context.req.header('x-forwarded-for')?.split(',').at(-1)?.trim() ?? 'local';
}

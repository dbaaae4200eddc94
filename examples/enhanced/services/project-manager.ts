/** Projects: made, listed, changed, ended. The owner is who the gateway says is calling. */
import type { DatabaseSync } from 'node:sqlite';
import { Hono } from 'hono';
import * as z from 'zod';
import { idOf, input, query, refused, run, type ServiceDefinition } from './service.ts';

const status = z.enum(['planned', 'active', 'done']);
const name = z.string().trim().min(1).max(120);
const description = z.string().max(4_000);
const creation = z.strictObject({ name, description: description.default(''), status: status.default('planned') });
const change = z
  .strictObject({ name: name.optional(), description: description.optional(), status: status.optional() })
  .refine((body) => Object.keys(body).length > 0, 'must change something');
const filter = z.strictObject({
  status: status.optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

const COLUMNS = 'id, name, description, status, owner, created, updated';

function routes(database: DatabaseSync): Hono {
  const app = new Hono();
  const found = (id: number | null) => {
    const row = id === null ? undefined : database.prepare(`SELECT ${COLUMNS} FROM projects WHERE id = ?`).get(id);
    if (row === undefined) throw refused(404, 'there is no such project');
    return row;
  };

  app.get('/api/projects', (context) => {
    const { status: wanted = null, limit } = query(context, filter);
    const projects = database
      .prepare(`SELECT ${COLUMNS} FROM projects WHERE ?1 IS NULL OR status = ?1 ORDER BY id DESC LIMIT ?2`)
      .all(wanted, limit);
    return context.json({ projects });
  });

  app.post('/api/projects', async (context) => {
    const body = await input(context, creation);
    const now = new Date().toISOString();
    const owner = context.req.header('x-auth-subject') ?? null;
    const project = database
      .prepare(
        `INSERT INTO projects (name, description, status, owner, created, updated)
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING RETURNING ${COLUMNS}`,
      )
      .get(body.name, body.description, body.status, owner, now, now);
    if (project === undefined) throw refused(409, 'there is a project of that name');
    return context.json(project, 201, { Location: `/api/v1/projects/${String(project['id'])}` });
  });

  app.get('/api/projects/:id', (context) => context.json(found(idOf(context))));

  app.patch('/api/projects/:id', async (context) => {
    const before = found(idOf(context));
    const after = { ...before, ...(await input(context, change)) };
    database
      .prepare('UPDATE projects SET name = ?, description = ?, status = ?, updated = ? WHERE id = ?')
      .run(
        String(after['name']),
        String(after['description']),
        String(after['status']),
        new Date().toISOString(),
        Number(before['id']),
      );
    return context.json(found(Number(before['id'])));
  });

  app.delete('/api/projects/:id', (context) => {
    const project = found(idOf(context));
    database.prepare('DELETE FROM projects WHERE id = ?').run(Number(project['id']));
    return context.body(null, 204);
  });
  return app;
}

export const projectManager: ServiceDefinition = {
  name: 'project-manager',
  tables: `CREATE TABLE IF NOT EXISTS projects (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL, status TEXT NOT NULL,
    owner TEXT, created TEXT NOT NULL, updated TEXT NOT NULL)`,
  routes,
};

if (import.meta.main) await run(projectManager);

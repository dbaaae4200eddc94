/** Workflows: named steps that are done one after the other; a failed step ends the run, a wrong order is refused. */
import type { DatabaseSync } from 'node:sqlite';
import { Hono } from 'hono';
import * as z from 'zod';
import { idOf, input, invalid, refused, run, type ServiceDefinition } from './service.ts';

const name = z.string().trim().min(1).max(120);
const creation = z.strictObject({ name, steps: z.array(name).min(1).max(100) });
const report = z.strictObject({ step: name, outcome: z.enum(['done', 'failed']) });

interface Row {
  readonly id: number;
  readonly name: string;
  readonly steps: string;
  readonly done: number;
  readonly state: string;
}

function shown({ id, name: title, steps, done, state }: Row) {
  const all = JSON.parse(steps) as string[];
  return { id, name: title, state, done: all.slice(0, done), next: state === 'running' ? all[done] : null, steps: all };
}

function routes(database: DatabaseSync): Hono {
  const app = new Hono();
  const find = (id: number | null): Row => {
    const row =
      id === null
        ? undefined
        : database.prepare('SELECT id, name, steps, done, state FROM workflows WHERE id = ?').get(id);
    if (row === undefined) throw refused(404, 'there is no such workflow');
    return row as unknown as Row;
  };

  app.get('/api/workflows', (context) => {
    const rows = database
      .prepare('SELECT id, name, steps, done, state FROM workflows ORDER BY id DESC LIMIT 100')
      .all() as unknown as Row[];
    return context.json({ workflows: rows.map(shown) });
  });

  app.post('/api/workflows', async (context) => {
    const body = await input(context, creation);
    if (new Set(body.steps).size < body.steps.length) throw invalid('steps', 'names must be distinct');
    const { lastInsertRowid } = database
      .prepare("INSERT INTO workflows (name, steps, done, state) VALUES (?, ?, 0, 'running')")
      .run(body.name, JSON.stringify(body.steps));
    const made = shown(find(Number(lastInsertRowid)));
    return context.json(made, 201, { Location: `/api/v1/workflows/${made.id}` });
  });

  app.get('/api/workflows/:id', (context) => context.json(shown(find(idOf(context)))));

  app.post('/api/workflows/:id/steps', async (context) => {
    const row = find(idOf(context));
    const { step, outcome } = await input(context, report);
    const { next, steps } = shown(row);
    if (next !== step)
      throw refused(409, next === null ? `the workflow is ${row.state}` : `the next step is "${next}"`);
    const done = outcome === 'done' ? row.done + 1 : row.done;
    const state = outcome === 'failed' ? 'failed' : done === steps.length ? 'done' : 'running';
    // Two reports of one step at the same time, on two instances: only one finds the row as it was.
    const { changes } = database
      .prepare("UPDATE workflows SET done = ?, state = ? WHERE id = ? AND done = ? AND state = 'running'")
      .run(done, state, row.id, row.done);
    if (changes === 0) throw refused(409, 'the step was reported already');
    return context.json(shown(find(row.id)));
  });
  return app;
}

export const workflowOrchestrator: ServiceDefinition = {
  name: 'workflow-orchestrator',
  tables: `CREATE TABLE IF NOT EXISTS workflows (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, steps TEXT NOT NULL, done INTEGER NOT NULL, state TEXT NOT NULL)`,
  routes,
};

if (import.meta.main) await run(workflowOrchestrator);

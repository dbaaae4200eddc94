/** Plans: tasks in, schedule and critical path out. Hours that are left out are estimated from earlier plans. */
import type { DatabaseSync } from 'node:sqlite';
import { Hono } from 'hono';
import * as z from 'zod';
import { estimateHours, plan, type Task } from './planning.ts';
import { idOf, input, invalid, refused, run, type ServiceDefinition } from './service.ts';

const name = z.string().trim().min(1).max(120);
const wanted = z.strictObject({
  title: name,
  tasks: z
    .array(
      z.strictObject({
        name,
        hours: z.number().positive().max(10_000).optional(),
        after: z.array(name).max(100).default([]),
      }),
    )
    .min(1)
    .max(500),
});

function routes(database: DatabaseSync): Hono {
  const app = new Hono();

  function complete(given: z.output<typeof wanted>['tasks']): { tasks: Task[]; estimated: string[] } {
    const names = new Set(given.map((task) => task.name));
    if (names.size < given.length) throw invalid('tasks', 'names must be distinct');
    const estimated: string[] = [];
    const earlier = database.prepare('SELECT name, hours FROM tasks ORDER BY id DESC LIMIT 1000').all() as unknown as {
      name: string;
      hours: number;
    }[];
    const tasks = given.map((task, i): Task => {
      const unknown = task.after.find((other) => !names.has(other));
      if (unknown !== undefined) throw invalid(`tasks.${i}.after`, `there is no task "${unknown}"`);
      const hours = task.hours ?? estimateHours(task.name, earlier);
      if (hours === undefined) throw invalid(`tasks.${i}.hours`, 'needed: no earlier task is like this one');
      if (task.hours === undefined) estimated.push(task.name);
      return { name: task.name, hours, after: task.after };
    });
    return { tasks, estimated };
  }

  app.get('/api/ai', (context) => {
    const plans = database.prepare('SELECT id, title, hours, created FROM plans ORDER BY id DESC LIMIT 100').all();
    return context.json({ plans });
  });

  app.post('/api/ai', async (context) => {
    const body = await input(context, wanted);
    const { tasks, estimated } = complete(body.tasks);
    const made = plan(tasks);
    if (made === undefined) throw invalid('tasks', 'some wait for each other in a circle');
    const created = new Date().toISOString();
    database.exec('BEGIN IMMEDIATE');
    try {
      const row = database
        .prepare('INSERT INTO plans (title, hours, body, created) VALUES (?, ?, ?, ?) RETURNING id')
        .get(body.title, made.hours, JSON.stringify(made), created);
      // Only what people said teaches the next estimate.
      const learn = database.prepare('INSERT INTO tasks (name, hours) VALUES (?, ?)');
      for (const task of tasks) if (!estimated.includes(task.name)) learn.run(task.name, task.hours);
      database.exec('COMMIT');
      const id = Number(row?.['id']);
      return context.json({ id, title: body.title, estimated, created, ...made }, 201, {
        Location: `/api/v1/ai/${id}`,
      });
    } catch (error) {
      database.exec('ROLLBACK');
      throw error;
    }
  });

  app.get('/api/ai/:id', (context) => {
    const id = idOf(context);
    const row =
      id === null ? undefined : database.prepare('SELECT id, title, body, created FROM plans WHERE id = ?').get(id);
    if (row === undefined) throw refused(404, 'there is no such plan');
    const { body, ...rest } = row;
    return context.json({ ...rest, ...(JSON.parse(String(body)) as object) });
  });
  return app;
}

export const aiPlanner: ServiceDefinition = {
  name: 'ai-planner',
  tables: `CREATE TABLE IF NOT EXISTS plans (
      id INTEGER PRIMARY KEY, title TEXT NOT NULL, hours REAL NOT NULL, body TEXT NOT NULL, created TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS tasks (id INTEGER PRIMARY KEY, name TEXT NOT NULL, hours REAL NOT NULL)`,
  routes,
};

if (import.meta.main) await run(aiPlanner);

/** Measurements: taken in one by one, summed up by name, and by hour or day for a chart. */
import type { DatabaseSync } from 'node:sqlite';
import { Hono } from 'hono';
import * as z from 'zod';
import { input, query, refused, run, type ServiceDefinition } from './service.ts';

const metric = z
  .string()
  .regex(/^[a-z][a-z0-9_.-]{0,79}$/, 'must be 1 to 80 lower-case letters, digits, "_", "." or "-"');
const measurement = z.strictObject({ metric, value: z.number(), at: z.iso.datetime({ offset: true }).optional() });
const chart = z.strictObject({ bucket: z.enum(['hour', 'day']).default('hour') });

/** `p95`: the value that 95 % of all are not above (nearest rank). */
const SUMMARY = `
  SELECT metric, total AS count, avg(value) AS mean, min(value) AS min, max(value) AS max,
    max(CASE WHEN rank = (total * 95 + 99) / 100 THEN value END) AS p95
  FROM (
    SELECT metric, value, row_number() OVER (PARTITION BY metric ORDER BY value) AS rank,
      count(*) OVER (PARTITION BY metric) AS total
    FROM measurements WHERE ?1 IS NULL OR metric = ?1)
  GROUP BY metric ORDER BY metric LIMIT 500`;

function routes(database: DatabaseSync): Hono {
  const app = new Hono();

  app.get('/api/analytics', (context) => context.json({ metrics: database.prepare(SUMMARY).all(null) }));

  app.post('/api/analytics', async (context) => {
    const { metric: name, value, at } = await input(context, measurement);
    const moment = new Date(at ?? Date.now()).toISOString();
    database.prepare('INSERT INTO measurements (metric, value, at) VALUES (?, ?, ?)').run(name, value, moment);
    return context.json({ metric: name, value, at: moment }, 201);
  });

  app.get('/api/analytics/:metric', (context) => {
    const { bucket } = query(context, chart);
    const name = context.req.param('metric');
    const summary = database.prepare(SUMMARY).get(name);
    if (summary === undefined) throw refused(404, 'nothing was measured under this name');
    const length = bucket === 'hour' ? '2026-01-01T00'.length : '2026-01-01'.length;
    const series = database
      .prepare(
        `SELECT substr(at, 1, ?) AS bucket, count(*) AS count, avg(value) AS mean FROM measurements
         WHERE metric = ? GROUP BY 1 ORDER BY 1 LIMIT 1000`,
      )
      .all(length, name);
    return context.json({ ...summary, bucket, series });
  });
  return app;
}

export const analyticsDashboard: ServiceDefinition = {
  name: 'analytics-dashboard',
  tables: `CREATE TABLE IF NOT EXISTS measurements (metric TEXT NOT NULL, value REAL NOT NULL, at TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS measurements_by_value ON measurements (metric, value)`,
  routes,
};

if (import.meta.main) await run(analyticsDashboard);

/** The services by themselves: what they keep, what they refuse, and the planner's arithmetic. */
import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { describe, type TestContext, test } from 'node:test';
import { aiPlanner } from './services/ai-planner.ts';
import { analyticsDashboard } from './services/analytics-dashboard.ts';
import { estimateHours, plan } from './services/planning.ts';
import { projectManager } from './services/project-manager.ts';
import { createService, type ServiceDefinition } from './services/service.ts';
import { smartNotifications } from './services/smart-notifications.ts';
import { workflowOrchestrator } from './services/workflow-orchestrator.ts';

interface Reply {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** A service of its own, with its data in memory. */
function service(t: TestContext, definition: ServiceDefinition) {
  const database = new DatabaseSync(':memory:');
  database.exec(definition.tables);
  t.after(() => database.close());
  const app = createService(definition, 'one', database);
  return async (method: string, path: string, body?: unknown): Promise<Reply> => {
    const response = await app.request(path, {
      method,
      ...(body === undefined
        ? {}
        : {
            headers: { 'Content-Type': 'application/json' },
            body: typeof body === 'string' ? body : JSON.stringify(body),
          }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) };
  };
}

test('projects are made, found, changed and deleted', async (t) => {
  const call = service(t, projectManager);
  const made = await call('POST', '/api/projects', { name: 'Bridge', description: 'over the river' });
  assert.deepEqual([made.status, made.body['status'], made.body['owner']], [201, 'planned', null]);
  assert.equal((await call('POST', '/api/projects', { name: 'Bridge' })).status, 409);
  const path = `/api/projects/${String(made.body['id'])}`;
  assert.equal((await call('PATCH', path, { status: 'active' })).body['status'], 'active');
  assert.equal((await call('GET', path)).body['description'], 'over the river');
  const listed = async (query: string) => ((await call('GET', `/api/projects${query}`)).body['projects'] as []).length;
  assert.deepEqual([await listed('?status=active'), await listed('?status=done')], [1, 0]);
  assert.equal((await call('DELETE', path)).status, 204);
  assert.equal((await call('GET', path)).status, 404);
});

describe('what is not valid is 400 and says which field', () => {
  const cases: { name: string; definition: ServiceDefinition; path: string; body: unknown; field: string }[] = [
    { name: 'no name', definition: projectManager, path: '/api/projects', body: {}, field: 'name' },
    { name: 'a blank name', definition: projectManager, path: '/api/projects', body: { name: ' ' }, field: 'name' },
    {
      name: 'a status that is none',
      definition: projectManager,
      path: '/api/projects',
      body: { name: 'a', status: 'x' },
      field: 'status',
    },
    { name: 'no JSON', definition: projectManager, path: '/api/projects', body: '{', field: '' },
    {
      name: 'an unknown key',
      definition: projectManager,
      path: '/api/projects',
      body: { name: 'a', id: 1 },
      field: '',
    },
    { name: 'no tasks', definition: aiPlanner, path: '/api/ai', body: { title: 'a', tasks: [] }, field: 'tasks' },
    {
      name: 'tasks in a circle',
      definition: aiPlanner,
      path: '/api/ai',
      body: {
        title: 'a',
        tasks: [
          { name: 'a', hours: 1, after: ['b'] },
          { name: 'b', hours: 1, after: ['a'] },
        ],
      },
      field: 'tasks',
    },
    {
      name: 'an unknown task',
      definition: aiPlanner,
      path: '/api/ai',
      body: { title: 'a', tasks: [{ name: 'a', hours: 1, after: ['b'] }] },
      field: 'tasks.0.after',
    },
    {
      name: 'hours that nothing tells',
      definition: aiPlanner,
      path: '/api/ai',
      body: { title: 'a', tasks: [{ name: 'a' }] },
      field: 'tasks.0.hours',
    },
    {
      name: 'hours below nothing',
      definition: aiPlanner,
      path: '/api/ai',
      body: { title: 'a', tasks: [{ name: 'a', hours: -1 }] },
      field: 'tasks.0.hours',
    },
    {
      name: 'a step twice',
      definition: workflowOrchestrator,
      path: '/api/workflows',
      body: { name: 'a', steps: ['x', 'x'] },
      field: 'steps',
    },
    {
      name: 'a recipient that is none',
      definition: smartNotifications,
      path: '/api/notifications',
      body: { to: 'a b', text: 'x' },
      field: 'to',
    },
    {
      name: 'a value that is text',
      definition: analyticsDashboard,
      path: '/api/analytics',
      body: { metric: 'a', value: '1' },
      field: 'value',
    },
    {
      name: 'a moment that is none',
      definition: analyticsDashboard,
      path: '/api/analytics',
      body: { metric: 'a', value: 1, at: 'noon' },
      field: 'at',
    },
  ];
  for (const { name, definition, path, body, field } of cases) {
    test(`${definition.name}: ${name}`, async (t) => {
      const reply = await service(t, definition)('POST', path, body);
      assert.equal(reply.status, 400, JSON.stringify(reply.body));
      const problems = reply.body['problems'] as { field: string; problem: string }[];
      assert.deepEqual([problems[0]?.field, (problems[0]?.problem.length ?? 0) > 0], [field, true]);
    });
  }
});

test('a plan has a critical path, slack, and hours learnt from earlier plans', async (t) => {
  const call = service(t, aiPlanner);
  const tasks = [
    { name: 'dig foundation', hours: 8 },
    { name: 'order steel', hours: 2 },
    { name: 'build bridge', hours: 20, after: ['dig foundation', 'order steel'] },
  ];
  const first = await call('POST', '/api/ai', { title: 'Bridge', tasks });
  assert.deepEqual(
    [first.status, first.body['hours'], first.body['criticalPath']],
    [201, 28, ['dig foundation', 'build bridge']],
  );
  const planned = first.body['tasks'] as { name: string; slack: number }[];
  assert.equal(planned.find(({ name }) => name === 'order steel')?.slack, 6);

  const second = await call('POST', '/api/ai', { title: 'Another', tasks: [{ name: 'dig foundation deeper' }] });
  assert.deepEqual([second.body['estimated'], second.body['hours']], [['dig foundation deeper'], 8]);
  assert.deepEqual((await call('GET', `/api/ai/${String(first.body['id'])}`)).body['tasks'], first.body['tasks']);
});

test('planning keeps its rules for any order of the tasks', () => {
  const tasks = [
    { name: 'c', hours: 1, after: ['b'] },
    { name: 'b', hours: 2, after: ['a'] },
    { name: 'a', hours: 3, after: [] },
    { name: 'd', hours: 4, after: ['a'] },
  ];
  for (const order of [tasks, tasks.toReversed()]) {
    const made = plan(order)!;
    assert.deepEqual([made.hours, made.criticalPath], [7, ['a', 'd']]);
    for (const task of made.tasks)
      for (const name of task.after)
        assert.ok(made.tasks.find((each) => each.name === name)!.finish <= task.start, `${name} before ${task.name}`);
  }
  assert.deepEqual(plan([]), { hours: 0, criticalPath: [], tasks: [] });
  assert.equal(plan([{ name: 'a', hours: 1, after: ['a'] }]), undefined);
  assert.equal(estimateHours('x', []), undefined);
  assert.equal(
    estimateHours('write tests', [
      { name: 'write tests', hours: 4 },
      { name: 'paint', hours: 100 },
    ]),
    4,
  );
});

test('a workflow goes step by step and no other way', async (t) => {
  const call = service(t, workflowOrchestrator);
  const { body } = await call('POST', '/api/workflows', { name: 'Release', steps: ['build', 'test', 'ship'] });
  const path = `/api/workflows/${String(body['id'])}/steps`;
  const report = (step: string, outcome = 'done') => call('POST', path, { step, outcome });
  assert.deepEqual([(await report('ship')).status, (await report('build')).body['next']], [409, 'test']);
  assert.equal((await report('build')).status, 409, 'a step is done once');
  const failed = await report('test', 'failed');
  assert.deepEqual([failed.body['state'], failed.body['next'], failed.body['done']], ['failed', null, ['build']]);
  assert.equal((await report('test')).status, 409);
});

test('a notification that repeats is counted until it was read', async (t) => {
  const call = service(t, smartNotifications);
  const send = () => call('POST', '/api/notifications', { to: 'ada', text: 'disk is full', level: 'urgent' });
  const first = await send();
  const second = await send();
  assert.deepEqual(
    [first.status, second.status, second.body['times'], second.body['id']],
    [201, 200, 2, first.body['id']],
  );
  await call('PUT', `/api/notifications/${String(first.body['id'])}/read`);
  assert.equal((await send()).status, 201);
  const unread = (await call('GET', '/api/notifications?to=ada&unread=true')).body['notifications'] as unknown[];
  assert.equal(unread.length, 1);
  assert.equal((await call('PUT', '/api/notifications/99/read')).status, 404);
});

test('measurements are summed up and charted', async (t) => {
  const call = service(t, analyticsDashboard);
  for (let value = 1; value <= 100; value++) {
    const at = `2026-01-0${value <= 50 ? 1 : 2}T10:00:00Z`;
    assert.equal((await call('POST', '/api/analytics', { metric: 'latency', value, at })).status, 201);
  }
  const { metrics } = (await call('GET', '/api/analytics')).body as { metrics: unknown[] };
  assert.deepEqual(metrics, [{ metric: 'latency', count: 100, mean: 50.5, min: 1, max: 100, p95: 95 }]);
  const { series } = (await call('GET', '/api/analytics/latency?bucket=day')).body as { series: unknown[] };
  assert.deepEqual(series, [
    { bucket: '2026-01-01', count: 50, mean: 25.5 },
    { bucket: '2026-01-02', count: 50, mean: 75.5 },
  ]);
  assert.equal((await call('GET', '/api/analytics/nothing')).status, 404);
  assert.equal((await call('GET', '/api/analytics/latency?bucket=year')).status, 400);
});

test('the drill makes an instance fail in the way that was asked for', async (t) => {
  const call = service(t, projectManager);
  const statuses = async () => [(await call('GET', '/health')).status, (await call('GET', '/api/projects')).status];
  assert.deepEqual(await statuses(), [200, 200]);
  await call('PUT', '/drill', { mode: 'errors' });
  assert.deepEqual(await statuses(), [200, 500]);
  await call('PUT', '/drill', { mode: 'down' });
  assert.deepEqual(await statuses(), [503, 500]);
  assert.equal((await call('PUT', '/drill', { mode: 'explode' })).status, 400);
  await call('PUT', '/drill', { mode: 'off' });
  assert.deepEqual(await statuses(), [200, 200]);
});

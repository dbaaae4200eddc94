/** Every call of the CraftNudge document against the running example, and who may make it. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { suiteScope } from '../../test/support/scope.ts';
import { type CraftNudge, commitOf, eventually, type Person, startCraftNudge } from './testing.ts';

/** The tables of the document: method, path, a body that is right, and the status. */
const CALLS: readonly (readonly [string, string, number, unknown?])[] = [
  ['POST', '/api/v1/commits/track', 201, commitOf(1)],
  ['GET', '/api/v1/commits', 200],
  ['GET', `/api/v1/commits/${'1'.padStart(40, '0')}`, 200],
  ['POST', '/api/v1/commits/batch', 201, { commits: [commitOf(2), commitOf(3)] }],
  ['GET', '/api/v1/analytics/patterns', 200],
  ['GET', '/api/v1/analytics/metrics', 200],
  ['GET', '/api/v1/analytics/trends', 200],
  ['POST', '/api/v1/analytics/analyze', 200, { notify: false }],
  ['GET', '/api/v1/notifications', 200],
  ['POST', '/api/v1/notifications/send', 202, { title: 'Tea' }],
  ['PUT', '/api/v1/notifications/preferences', 200, { muted: ['spam'] }],
  ['GET', '/api/v1/notifications/history', 200],
];
/** Of the document's example. */
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

describe('CraftNudge', () => {
  const scope = suiteScope();
  let craft: CraftNudge;
  let ada: Person;

  before(async () => {
    craft = await startCraftNudge(scope);
    ada = await craft.person('ada');
  });

  it('asks everybody for a token, before anything else is looked at', async () => {
    const anybody = craft.anybody('198.51.100.1');
    for (const [method, path, , body] of CALLS) {
      const answer = await anybody.call(method, path, body);
      assert.equal(answer.status, 401, `${method} ${path}`);
      assert.equal(answer.body.error.code, 'AUTHENTICATION_REQUIRED');
      assert.match(answer.body.timestamp, MOMENT);
      assert.ok(answer.body.request_id);
    }
  });

  it('answers every call of the document, through services that registered themselves', async () => {
    for (const [method, path, status, body] of CALLS) {
      const answer = await ada.call(method, path, body);
      assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
      for (const name of ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'])
        assert.match(answer.headers.get(name) ?? '', /^\d+$/, `${name} of ${method} ${path}`);
    }
  });

  it('answers a bad commit hash with the body of the document, to the letter', async () => {
    const wrong = await ada.call('POST', '/api/v1/commits/track', commitOf(1, { commit_hash: 'abc123' }), {
      'x-request-id': 'req-12345',
    });
    assert.equal(wrong.status, 400);
    assert.match(wrong.body.timestamp, MOMENT);
    assert.deepEqual(wrong.body, {
      error: {
        code: 'VALIDATION_ERROR',
        message: 'Invalid commit hash format',
        details: { field: 'commit_hash', value: 'abc123', expected: '40-character SHA-1 hash' },
      },
      timestamp: wrong.body.timestamp,
      request_id: 'req-12345',
    });
    assert.match(
      wrong.text,
      /^\{"error":\{"code":.*"message":.*"details":.*\},"timestamp":.*,"request_id":"req-12345"\}$/,
    );
    const inPath = await ada.call('GET', '/api/v1/commits/abc123');
    assert.equal(inPath.status, 400);
    assert.equal(inPath.body.error.message, 'Invalid commit hash format');
    const inBatch = await ada.call('POST', '/api/v1/commits/batch', {
      commits: [commitOf(4), commitOf(5, { commit_hash: 'ABC' })],
    });
    assert.equal(inBatch.body.error.details.field, 'commits.1.commit_hash');
    assert.equal((await ada.call('GET', `/api/v1/commits/${'4'.padStart(40, '0')}`)).status, 404, 'all or none');
  });

  it('tells each wrong member of a commit, and takes no other', async () => {
    for (const [more, field] of [
      [{ authored_at: 'yesterday' }, 'authored_at'],
      [{ message: '' }, 'message'],
      [{ files: [{ path: 'a', additions: -1, deletions: 0 }] }, 'files.0.additions'],
      [{ colour: 'red' }, 'colour'],
    ] as const) {
      const { status, body } = await ada.call('POST', '/api/v1/commits/track', commitOf(9, more));
      assert.deepEqual([status, body.error.code, body.error.details.field], [400, 'VALIDATION_ERROR', field]);
    }
    assert.equal((await ada.call('POST', '/api/v1/commits/track', '{')).status, 400);
    const many = { commits: Array.from({ length: 501 }, (_, n) => commitOf(n)) };
    assert.equal((await ada.call('POST', '/api/v1/commits/batch', many)).status, 400);
  });

  it('keeps commits apart, tracks each once, and pages through them', async () => {
    const bo = await craft.person('bo');
    const commits = Array.from({ length: 7 }, (_, n) => commitOf(100 + n));
    assert.deepEqual((await bo.call('POST', '/api/v1/commits/batch', { commits })).body, {
      tracked: 7,
      already_known: 0,
    });
    assert.deepEqual((await bo.call('POST', '/api/v1/commits/batch', { commits })).body, {
      tracked: 0,
      already_known: 7,
    });
    const again = await bo.call('POST', '/api/v1/commits/track', commits[0]);
    assert.deepEqual(
      [again.status, again.headers.get('location')],
      [200, `/api/v1/commits/${commits[0]!['commit_hash']}`],
    );
    const seen: string[] = [];
    for (let path = '/api/v1/commits?limit=3'; path !== ''; ) {
      const { body } = await bo.call('GET', path);
      seen.push(...body.commits.map((commit: { commit_hash: string }) => commit.commit_hash));
      path = body.next_cursor === undefined ? '' : `/api/v1/commits?limit=3&cursor=${body.next_cursor}`;
    }
    assert.deepEqual(seen, commits.map((commit) => commit['commit_hash']).reverse());
    assert.equal((await ada.call('GET', `/api/v1/commits/${seen[0]}`)).status, 404, "bo's is not ada's");
    const wrong = await bo.call('GET', '/api/v1/commits?limit=0');
    assert.deepEqual([wrong.status, wrong.body.error.details.field], [400, 'limit']);
  });

  it('publishes commits to a stream, from which analytics learns', async () => {
    const cy = await craft.person('cy');
    const commits = Array.from({ length: 24 }, (_, n) => commitOf(200 + n, { message: 'fix: a hole' }));
    await cy.call('POST', '/api/v1/commits/batch', { commits });
    await eventually(async () => (await craft.learned(cy)) === 24, 'analytics has all commits');
    const { body: patterns } = await cy.call('GET', '/api/v1/analytics/patterns');
    assert.deepEqual(patterns.messages.prefixes, { fix: 24 });
    assert.deepEqual(patterns.coupled_files[0].files, ['src/fence.ts', 'test/fence.test.ts']);
    const { body: trends } = await cy.call('GET', '/api/v1/analytics/trends?repository=fences');
    assert.equal(trends.lines.direction, 'steady');
    const { body: none } = await cy.call('GET', '/api/v1/analytics/metrics?to=2020-01-01T00:00:00Z');
    assert.equal(none.commits, 0);
  });

  it('speaks gRPC to analytics behind its REST API, and says what is wrong in the format of the document', async () => {
    await ada.call('GET', '/api/v1/analytics/patterns');
    const isGrpc = async (): Promise<boolean> => {
      const log = await readFile(join(craft.folder, 'access.log'), 'utf8').catch(() => '');
      return log.split('\n').some((line) => line.includes('"route":"analytics"') && line.includes('"grpc_status":0'));
    };
    await eventually(isGrpc, 'the access log has the status of the call');
    const wrong = await ada.call('GET', '/api/v1/analytics/metrics?from=yesterday');
    assert.deepEqual(
      [wrong.status, wrong.body.error.code, wrong.body.error.details.field],
      [400, 'VALIDATION_ERROR', 'query.from'],
    );
  });

  it('sends notifications by a queue, and what they say is said once', async () => {
    const di = await craft.person('di');
    const commits = Array.from({ length: 12 }, (_, n) =>
      commitOf(300 + n, {
        authored_at: `2026-02-${String(n + 1).padStart(2, '0')}T23:30:00+01:00`,
        files: [{ path: 'test/night.test.ts', additions: 9, deletions: 1 }],
      }),
    );
    await di.call('POST', '/api/v1/commits/batch', { commits });
    await eventually(async () => (await craft.learned(di)) === 12, 'analytics has all commits');
    const first = await di.call('POST', '/api/v1/analytics/analyze', {});
    assert.deepEqual(
      first.body.nudges.map(({ kind }: { kind: string }) => kind),
      ['night'],
    );
    assert.equal(first.body.notified, 1);
    await di.call('POST', '/api/v1/analytics/analyze', {});
    await di.call('PUT', '/api/v1/notifications/preferences', { muted: ['reminder'] });
    await di.call('POST', '/api/v1/notifications/send', { title: 'Muted', kind: 'reminder' });
    await di.call('POST', '/api/v1/notifications/send', { title: 'Last' });
    const listed = async (path: string, key: string): Promise<string[]> =>
      (await di.call('GET', path)).body[key].map((each: { title: string }) => each.title).sort();
    await eventually(
      async () => (await listed('/api/v1/notifications', 'notifications')).includes('Last'),
      'the queue is empty',
    );
    assert.deepEqual(await listed('/api/v1/notifications', 'notifications'), ['Last', 'Late hours']);
    const { body } = await di.call('GET', '/api/v1/notifications/history');
    assert.deepEqual(
      body.history.map((each: { title: string; outcome: string }) => `${each.title}: ${each.outcome}`).sort(),
      ['Last: delivered', 'Late hours: delivered', 'Muted: muted'],
    );
  });

  it('aggregates a dashboard, also while a service is away', async () => {
    const { status, body } = await ada.call('GET', '/api/v1/dashboard?limit=1');
    assert.equal(status, 200);
    assert.deepEqual(Object.keys(body), ['commits', 'metrics', 'patterns', 'trends', 'notifications']);
    assert.equal(body.commits.commits.length, 1);
    await craft.drill('notifications', 'errors');
    const partial = await ada.call('GET', '/api/v1/dashboard');
    await craft.drill('notifications', 'off');
    assert.equal(partial.status, 200);
    assert.equal(partial.body.notifications, undefined);
    assert.equal(partial.body.partial[0].part, 'notifications');
    assert.equal(partial.headers.get('gatehouse-partial'), 'notifications');
  });

  it('has four levels: public, user, admin, service', async () => {
    const anybody = craft.anybody('198.51.100.2');
    const service = craft.anybody('198.51.100.3');
    service.headers['x-api-key'] = craft.env['ANALYTICS_KEY']!;
    const made = await craft.gatehouse('user', 'create', '--email', 'root@example.com', '--admin', '--json');
    const { password } = JSON.parse(made) as { password: string };
    const admin = craft.anybody('198.51.100.4');
    admin.signedIn(await admin.call('POST', '/api/v1/auth/login', { email: 'root@example.com', password }));
    const table: readonly (readonly [string, string, unknown, readonly [number, number, number, number]])[] = [
      ['GET', '/health', undefined, [200, 200, 200, 200]],
      ['GET', '/status', undefined, [200, 200, 200, 200]],
      ['GET', '/api/v1/commits', undefined, [401, 200, 200, 200]],
      ['GET', '/api/v1/analytics/metrics?scope=all', undefined, [401, 403, 200, 403]],
      ['GET', '/api/v1/analytics/metrics?scope=%61ll', undefined, [401, 403, 200, 403]],
      ['POST', `/api/v1/notifications/send/${ada.id}`, { title: 'To all' }, [401, 403, 202, 403]],
      ['POST', '/internal/notifications/x', { title: 'Hm' }, [401, 403, 403, 202]],
    ];
    for (const [method, path, body, expected] of table) {
      const statuses: number[] = [];
      for (const who of [anybody, ada, admin, service]) statuses.push((await who.call(method, path, body)).status);
      assert.deepEqual(statuses, expected, `${method} ${path}`);
    }
    const { body } = await admin.call('GET', '/api/v1/analytics/metrics?scope=all');
    assert.ok(body.commits > (await ada.call('GET', '/api/v1/analytics/metrics')).body.commits);
    const refused = await ada.call('GET', '/api/v1/analytics/metrics?scope=all');
    assert.equal(refused.body.error.code, 'INSUFFICIENT_PERMISSIONS');
  });

  it('refreshes with rotation, takes API keys, and signs out at once', async () => {
    const ed = await craft.person('ed');
    const old = ed.refreshToken;
    ed.signedIn(await ed.call('POST', '/api/v1/auth/refresh', { refreshToken: old }));
    assert.notEqual(ed.refreshToken, old);
    const made = await ed.call('POST', '/api/v1/auth/keys', { name: 'ci' });
    assert.equal(made.status, 201, made.text);
    const program = craft.anybody('198.51.100.5');
    program.headers['x-api-key'] = made.body.key;
    assert.equal((await program.call('POST', '/api/v1/commits/track', commitOf(400))).status, 201);
    assert.equal((await ed.call('GET', `/api/v1/commits/${(400).toString(16).padStart(40, '0')}`)).status, 200);
    await ed.call('POST', '/api/v1/auth/logout', { refreshToken: ed.refreshToken });
    await eventually(async () => (await ed.call('GET', '/api/v1/commits')).status === 401, 'the token has ended');
    assert.equal((await ed.call('POST', '/api/v1/auth/refresh', { refreshToken: ed.refreshToken })).status, 401);
  });

  it('answers what does not exist with 404, in the format of the document', async () => {
    for (const path of ['/api/v1/nothing', `/api/v1/commits/${'f'.repeat(40)}`]) {
      const { status, body } = await ada.call('GET', path);
      assert.deepEqual([status, body.error.code], [404, 'RESOURCE_NOT_FOUND'], path);
      assert.match(body.timestamp, MOMENT);
      assert.ok(body.request_id);
    }
  });

  it('shows health, status and metrics', async () => {
    const anybody = craft.anybody('127.0.0.1');
    const health = await anybody.call('GET', '/health');
    assert.deepEqual([health.status, health.body.status], [200, 'healthy']);
    for (const name of ['analytics', 'commit-tracker', 'notifications'])
      assert.equal(health.body.services[name].status, 'running');
    for (const path of ['/health/live', '/health/ready']) assert.equal((await anybody.call('GET', path)).status, 200);
    const { body } = await anybody.call('GET', '/status');
    assert.deepEqual(
      Object.values(body.services as Record<string, { status: string }>).map(({ status }) => status),
      ['running', 'running', 'running'],
    );
    const { text, headers } = await anybody.call('GET', '/metrics');
    assert.match(headers.get('content-type') ?? '', /^text\/plain/);
    for (const metric of [
      /^gatehouse_requests_total\{route="commit-track",status="201"\} [1-9]/m,
      /^gatehouse_request_duration_seconds_count\{route="commit-track"\} [1-9]/m,
      /^gatehouse_requests_total\{route="commit-track",status="400"\} [1-9]/m,
      /^gatehouse_connections_active [1-9]/m,
    ])
      assert.match(text, metric);
  });
});

/** A request that an operator tries: each step on its way has a time of its own, and only that request is timed. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { TriedStep } from '../../../src/data/contract/tries.ts';
import { startTestGateway } from '../../support/gateway.ts';
import { freePort } from '../../support/ports.ts';
import { httpUpstream } from '../../support/upstream.ts';

const TOKEN = 'operator-token-that-is-long-enough';
const SLOW_MS = 120;

interface Tried {
  readonly requestId: string;
  readonly status: number;
  readonly times: { readonly endMs: number };
  readonly record: { readonly duration_ms: number; readonly upstream_ms?: number } | null;
  readonly steps: readonly TriedStep[] | null;
}

async function scene(t: TestContext, document: object) {
  const gateway = await startTestGateway(t, {
    ...document,
    admin: { listen: '127.0.0.1:0', tokens: [{ name: 'test', role: 'operator', token: TOKEN }] },
  });
  const found = gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'] !== undefined);
  const { url } = found!.sections!['admin'] as { url: string };
  const attempt = async (path: string, more: object = {}): Promise<Tried> => {
    const response = await fetch(`${url}/api/routes/try`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ method: 'GET', url: path, ...more }),
    });
    assert.equal(response.status, 200, await response.clone().text());
    return (await response.json()) as Tried;
  };
  return { attempt };
}

/** Phase and name of each step, instances without their ports. */
function shape(steps: readonly TriedStep[] | null): string[] {
  assert.ok(steps !== null, 'the worker said what the steps took');
  return steps.map(({ phase, name, failed }) =>
    `${phase} ${name.replace(/127\.0\.0\.1:\d+/, 'INSTANCE')} ${failed}`.trim(),
  );
}

function step(tried: Tried, phase: string, at = 0): TriedStep {
  const found = tried.steps?.filter((each) => each.phase === phase)[at];
  assert.ok(found, `${phase} in ${JSON.stringify(tried.steps)}`);
  return found;
}

test('policies, picking, connecting, sending and waiting have times that fit into the whole', async (t) => {
  const upstream = await httpUpstream(t, (_, response) => void setTimeout(() => response.end('slow'), SLOW_MS));
  const { attempt } = await scene(t, {
    gateway: { workers: 2 },
    services: { slow: { instances: [{ url: upstream.url }] } },
    routes: [
      {
        name: 'slow',
        match: { path: '/slow' },
        service: 'slow',
        auth: 'public',
        rateLimit: { by: 'ip', limits: ['1000/1h'] },
        securityHeaders: {},
      },
    ],
  });
  const tried = await attempt('/slow');
  assert.equal(tried.status, 200);
  const names = shape(tried.steps);
  assert.deepEqual(names, [
    'route slow',
    // By address, it acts before anybody is authenticated.
    'authenticate rate-limit',
    'pick slow',
    'connect slow@INSTANCE',
    'send slow@INSTANCE',
    'upstreamHead slow@INSTANCE',
    'responseHead',
    'responseHead security-headers',
    'responseBody',
  ]);
  const head = step(tried, 'upstreamHead');
  assert.ok(head.ms >= SLOW_MS - 5, `waited ${head.ms} ms`);
  // Of the caller: the record goes by the time at which the last bytes were read.
  const whole = tried.times.endMs;
  let beforeMs = 0;
  for (const { phase, startMs, ms } of tried.steps!) {
    assert.ok(startMs >= beforeMs && ms >= 0, `${phase} begins at ${startMs}`);
    assert.ok(startMs + ms <= whole, `${phase} ends at ${startMs + ms} of ${whole}`);
    beforeMs = startMs;
  }
  // The connection is there now, in one worker of two: some attempt meets it.
  let reused = '';
  for (let i = 0; i < 20 && reused === ''; i++) {
    const { name } = step(await attempt('/slow'), 'connect');
    if (name.includes('a connection that was there')) reused = name;
  }
  assert.notEqual(reused, '');
});

test('each attempt has its steps, and the one that failed says why', async (t) => {
  const upstream = await httpUpstream(t, (_, response) => void response.end('here'));
  const dead = await freePort();
  const { attempt } = await scene(t, {
    services: {
      half: {
        instances: [{ url: `http://127.0.0.1:${dead}` }, { url: upstream.url }],
        loadBalancing: { algorithm: 'round-robin' },
        retries: { attempts: 2 },
      },
    },
    routes: [{ name: 'half', match: { path: '/half' }, service: 'half', auth: 'public' }],
  });
  let tried = await attempt('/half');
  if (tried.steps?.filter(({ phase }) => phase === 'pick').length !== 2) tried = await attempt('/half');
  assert.equal(tried.status, 200);
  assert.match(step(tried, 'connect').failed, /connect/);
  assert.ok(step(tried, 'connect').name.includes(String(dead)));
  assert.equal(step(tried, 'connect', 1).failed, '');
  assert.ok(step(tried, 'pick', 1).startMs >= step(tried, 'connect').startMs);
  assert.equal(tried.steps!.filter(({ phase }) => phase === 'upstreamHead').length, 1);
});

test('a request that is refused ends with the policy that refused it; one that no route takes has none', async (t) => {
  const { attempt } = await scene(t, {
    routes: [
      {
        name: 'mine',
        match: { path: '/mine' },
        respond: { body: 'x' },
        auth: 'public',
        ipFilter: { deny: ['127.0.0.1'] },
      },
    ],
  });
  const refused = await attempt('/mine');
  assert.equal(refused.status, 403);
  const names = shape(refused.steps);
  assert.ok(
    names.some((name) => name.endsWith('refused')),
    names.join(', '),
  );
  assert.ok(!names.some((name) => name.startsWith('pick')), names.join(', '));
  const lost = await attempt('/nowhere');
  assert.equal(lost.status, 404);
  assert.match(step(lost, 'route').failed, /^no_route|not_found/);
});

test('the parts of a composition have steps of their own', async (t) => {
  const upstream = await httpUpstream(t, (_, response) => {
    response.setHeader('content-type', 'application/json');
    setTimeout(() => response.end('{"id":7}'), SLOW_MS);
  });
  const { attempt } = await scene(t, {
    services: { users: { instances: [{ url: upstream.url }] } },
    routes: [
      {
        name: 'all',
        match: { path: '/all' },
        auth: 'public',
        aggregate: {
          parts: {
            one: { service: 'users', path: '/one' },
            two: { service: 'users', path: '/two?after={parts.one.body.id}' },
          },
        },
      },
    ],
  });
  const tried = await attempt('/all');
  assert.equal(tried.status, 200);
  const waits = tried.steps!.filter(({ phase }) => phase === 'upstreamHead');
  assert.deepEqual(
    waits.map(({ name }) => name.replace(/, .*/, '')),
    ['part one', 'part two'],
  );
  assert.ok(waits[1]!.startMs >= waits[0]!.startMs + waits[0]!.ms, 'the second waited for the first');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RateLimitSettings } from '../contract/limits.ts';
import type { KeyPath, OptionContext } from '../contract/options.ts';
import { rateLimitOptions } from './rate-limit.options.ts';

interface Compiled {
  readonly settings: RateLimitSettings | undefined;
  readonly problems: readonly string[];
}

function compile(written: unknown, path: KeyPath = ['routes', 0, 'rateLimit']): Compiled {
  const parsed = rateLimitOptions.schema.safeParse(written);
  if (!parsed.success) return { settings: undefined, problems: [JSON.stringify(parsed.error.issues)] };
  const problems: string[] = [];
  const context: OptionContext = {
    path,
    env: {},
    resolve: (file) => file,
    readText: () => undefined,
    secret: (id) => id,
    problem: (message, detail) => problems.push([...(detail?.at ?? []), message].join(' ')),
    warning: () => {},
  };
  const policies = rateLimitOptions.compile?.(parsed.data, context, { id: 'r1', services: ['projects'] }) ?? [];
  const [policy] = policies;
  if (policy !== undefined) assert.equal(policy.name, 'rate-limit');
  return { settings: policy?.options as RateLimitSettings | undefined, problems };
}

const minute = { limit: 60, windowMs: 60_000, algorithm: 'gcra', burst: 60 };

test('by user with the plan, after authorization', () => {
  const { settings, problems } = compile({ by: 'user', plan: true });
  assert.deepEqual(problems, []);
  assert.deepEqual(settings, {
    blocks: [
      {
        by: [{ kind: 'user' }],
        rules: [],
        plan: true,
        methods: [],
        cost: 1,
        costHeader: null,
        scope: 'route:r1',
        phase: 'limit',
      },
    ],
    legacyHeaders: true,
    standardHeaders: true,
  });
});

test('by address with two windows, before authentication', () => {
  const { settings } = compile({ by: 'ip', limits: ['60/1m', { limit: 10, window: '1s', algorithm: 'sliding' }] });
  assert.equal(settings?.blocks[0]?.phase, 'authenticate');
  assert.deepEqual(settings?.blocks[0]?.rules, [
    minute,
    { limit: 10, windowMs: 1_000, algorithm: 'sliding', burst: 10 },
  ]);
});

test('the forms of the documents: windowMs and max, and so many a minute', () => {
  const rules = (written: unknown) => compile(written, ['gateway', 'rateLimit']).settings?.blocks[0]?.rules;
  const enhanced = { limit: 1_000, windowMs: 900_000, algorithm: 'gcra', burst: 1_000 };
  assert.deepEqual(rules({ windowMs: 900_000, max: 1_000 }), [enhanced]);
  assert.deepEqual(rules({ max: 1_000 }), [enhanced]);
  assert.deepEqual(rules({ windowMs: 900_000 }), [enhanced]);
  assert.deepEqual(rules({ perMinute: 60 }), [minute]);
});

test('the place where a limit stands says who shares its counter; a name, the route and the service do too', () => {
  const scope = (written: object, path?: KeyPath) => {
    return compile({ limits: ['60/1m'], ...written }, path).settings?.blocks[0]?.scope;
  };
  assert.equal(scope({}), 'route:r1');
  assert.equal(scope({}, ['services', 'projects', 'rateLimit']), 'service:projects');
  assert.equal(scope({}, ['gateway', 'rateLimit']), 'gateway');
  assert.equal(scope({ name: 'search' }), 'name:search');
  assert.equal(scope({ by: ['user', 'route'] }, ['gateway', 'rateLimit']), 'gateway route:r1');
  assert.equal(scope({ by: 'service' }, ['gateway', 'rateLimit']), 'gateway service:projects');
});

test('several blocks, keys, methods, costs', () => {
  const { settings, problems } = compile([
    {
      by: ['user', 'header:X-Tenant'],
      limits: ['5/1s'],
      methods: 'write',
      cost: 2,
      costHeader: 'X-Cost',
      headers: 'standard',
    },
    { by: 'all', limits: ['100/1s'], methods: ['GET'] },
  ]);
  assert.deepEqual(problems, []);
  assert.deepEqual(
    settings?.blocks.map(({ by, methods, cost, costHeader, phase }) => ({ by, methods, cost, costHeader, phase })),
    [
      {
        by: [{ kind: 'user' }, { kind: 'header', name: 'x-tenant' }],
        methods: ['POST', 'PUT', 'PATCH', 'DELETE'],
        cost: 2,
        costHeader: 'x-cost',
        phase: 'limit',
      },
      { by: [], methods: ['GET'], cost: 1, costHeader: null, phase: 'authenticate' },
    ],
  );
  assert.deepEqual([settings?.legacyHeaders, settings?.standardHeaders], [false, true]);
});

test('what could not be enforced is refused', () => {
  const refused = (written: unknown, path?: KeyPath): string => compile(written, path).problems.join('; ');
  assert.match(refused({ by: 'ip' }), /limits nothing/);
  assert.match(refused({ limits: ['60 per minute'] }), /is not a limit such as 60\/1m/);
  assert.match(refused({ limits: ['0/1m'] }), /whole number from 1/);
  assert.match(refused({ limits: ['60/400d'] }), /31 days/);
  assert.match(refused({ limits: ['2/1m'], cost: 3 }), /cost every request costs more/);
  assert.match(refused({ by: 'user', limits: ['2/1m'], phase: 'authenticate' }), /phase the caller is not known yet/);
  assert.match(refused({ limits: ['2/1m'], phase: 'arrival' }), /phase only limits of the gateway/);
  assert.match(
    refused({ by: ['ip', 'route'], limits: ['2/1m'], phase: 'arrival' }, ['gateway', 'rateLimit']),
    /the route is not known/,
  );
  assert.match(refused({ by: 'header:x tenant', limits: ['2/1m'] }), /must be a key/);
  assert.match(refused({ by: 'ip', limit: ['2/1m'] }), /unrecognized/i);
});

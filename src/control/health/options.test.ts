import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as z from 'zod';
import type { SectionContext } from '../config/section.ts';
import { healthCheckOptions, healthCheckSection, healthCheckSettings } from './options.ts';

const read = (input: z.input<typeof healthCheckOptions>) => healthCheckSettings(healthCheckOptions.parse(input));

describe('healthCheck options', () => {
  it('fills in defaults', () => {
    assert.deepEqual(read({}), {
      kind: 'auto',
      path: '/health',
      method: 'GET',
      intervalMs: 10_000,
      timeoutMs: 2_000,
      jitterRatio: 0.1,
      healthyThreshold: 2,
      unhealthyThreshold: 3,
      expectStatus: [{ first: 200, last: 299 }],
      expectBody: null,
      maxBodyBytes: 65_536,
      headers: {},
      port: null,
      grpcService: '',
    });
  });

  it('shortens the default timeout to a short interval', () => {
    assert.equal(read({ interval: '500ms' }).timeoutMs, 500);
  });

  it('reads statuses as a number, a range or a list of both', () => {
    assert.deepEqual(read({ expectStatus: 204 }).expectStatus, [{ first: 204, last: 204 }]);
    assert.deepEqual(read({ expectStatus: [200, '300-399'] }).expectStatus, [
      { first: 200, last: 200 },
      { first: 300, last: 399 },
    ]);
  });

  it('tells a text from a regular expression', () => {
    assert.deepEqual(read({ expectBody: 'ok' }).expectBody, { contains: 'ok' });
    assert.deepEqual(read({ expectBody: { regex: '"ok"' } }).expectBody, { regex: '"ok"' });
  });

  const refused = [
    { name: 'a timeout longer than the interval', input: { interval: '1s', timeout: '2s' }, path: 'timeout' },
    { name: 'an interval below 100 ms', input: { interval: 50 }, path: 'interval' },
    { name: 'a path without a slash', input: { path: 'health' }, path: 'path' },
    { name: 'a broken regular expression', input: { expectBody: { regex: '(' } }, path: 'expectBody' },
    {
      name: 'a regular expression that a text can make slow',
      input: { expectBody: { regex: '(a+)+b' } },
      path: 'expectBody',
    },
    { name: 'a range that runs backwards', input: { expectStatus: '299-200' }, path: 'expectStatus' },
    { name: 'a status that cannot be', input: { expectStatus: 99 }, path: 'expectStatus' },
    { name: 'a body expected of HEAD', input: { method: 'HEAD', expectBody: 'ok' }, path: 'expectBody' },
    { name: 'an unknown key', input: { intervall: 1 }, path: '' },
    { name: 'a threshold of zero', input: { unhealthyThreshold: 0 }, path: 'unhealthyThreshold' },
  ];
  for (const { name, input, path } of refused) {
    it(`refuses ${name}`, () => {
      const result = healthCheckOptions.safeParse(input);
      assert.deepEqual(
        result.error?.issues.map((issue) => issue.path.join('.')),
        [path],
      );
    });
  }

  it('describes every key for the reference page', () => {
    const schema = z.toJSONSchema(healthCheckOptions, { io: 'input', unrepresentable: 'any' });
    for (const [key, value] of Object.entries(schema.properties ?? {})) {
      assert.ok(typeof value === 'object' && value.description, `${key} has a description`);
    }
  });
});

describe('the healthCheck section', () => {
  const compile = (input: object | undefined, healthCheckIntervalMs: number | undefined) =>
    healthCheckSection.compile(input === undefined ? undefined : healthCheckOptions.parse(input), {
      healthCheckIntervalMs,
    } as SectionContext);

  it('makes an http probe of /health out of loadBalancing.healthCheckInterval', () => {
    const check = compile(undefined, 30_000);
    assert.deepEqual([check?.kind, check?.path, check?.intervalMs], ['auto', '/health', 30_000]);
  });

  it('lets healthCheck win over the shorthand', () => {
    const check = compile({ path: '/up' }, 30_000);
    assert.deepEqual([check?.path, check?.intervalMs], ['/up', 10_000]);
  });

  it('probes nothing when neither is there', () => {
    assert.equal(compile(undefined, undefined), null);
  });
});

/**
 * Policies in files of a user's own, through real workers: what they may do, and what they cannot do to the gateway.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ConfigurationError } from '../../src/main.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { assertSeries } from '../support/series.ts';
import { echoUpstream } from '../support/upstream.ts';

async function folderWith(test: Scope, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-policies-'));
  test.after(() => rm(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

const policy = (body: string, more = ''): string =>
  `import { definePolicy, refuse, json } from 'gatehouse/policy';
export default definePolicy({ name: 'mine', ${more} create: (options, tools) => (${body}) });`;

async function gatewayWith(
  test: Scope,
  use: unknown,
  more: { readonly gateway?: object; readonly route?: object } = {},
): Promise<TestGateway> {
  const { url } = await echoUpstream(test);
  return startTestGateway(test, {
    gateway: { ...more.gateway },
    services: { echo: { instances: [{ url }] } },
    routes: [
      { match: { path: '/guarded/:id' }, service: 'echo', auth: 'public', use, ...more.route },
      { match: { path: '/plain' }, service: 'echo', auth: 'public' },
    ],
  });
}

interface Echo {
  readonly headers: readonly string[];
}

/** Header fields that the service received, names in lower case. */
async function received(response: Response): Promise<Record<string, string>> {
  const { headers } = (await response.json()) as Echo;
  const pairs: [string, string][] = [];
  for (let i = 0; i < headers.length; i += 2) pairs.push([headers[i]!.toLowerCase(), headers[i + 1]!]);
  return Object.fromEntries(pairs);
}

async function metric(gateway: TestGateway, name: string): Promise<number> {
  const text = await (await fetch(`${gateway.url}/metrics/prometheus`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name}{policy="mine"}`));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
}

/** Asks again until it is so; a worker that was ended takes a moment to come back. */
async function eventually(what: string, holds: () => Promise<boolean>, deadlineMs = 15_000): Promise<void> {
  const giveUpMs = performance.now() + deadlineMs;
  while (!(await holds().catch(() => false))) {
    if (performance.now() > giveUpMs) throw new Error(`it did not happen within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('a policy in a file of one’s own', () => {
  test('reads the request, sets fields both ways and writes to the access record', async (t) => {
    const folder = await folderWith(t, {
      'mine.ts': policy(`{
        requestHead(request) {
          request.setUpstreamHeader('X-Id', request.params.id + options.suffix);
          request.removeUpstreamHeader('X-Secret');
        },
        responseHead(exchange) {
          exchange.setResponseHeader('X-Status', String(exchange.status));
          exchange.removeResponseHeader('Content-Type');
        },
      }`),
    });
    const gateway = await gatewayWith(t, [{ policy: join(folder, 'mine.ts'), options: { suffix: '!' } }]);
    const response = await fetch(`${gateway.url}/guarded/7`, { headers: { 'X-Secret': 's' } });
    assert.equal(response.headers.get('x-status'), '200');
    assert.equal(response.headers.get('content-type'), null);
    const fields = await received(response);
    assert.equal(fields['x-id'], '7!');
    assert.equal(fields['x-secret'], undefined);
  });

  test('answers by itself, or refuses in the shape of the gateway’s errors', async (t) => {
    const folder = await folderWith(t, {
      'mine.ts': policy(`{
        async requestHead(request) {
          if (request.query === 'json') return json(201, { made: true }, { 'X-Made': 'yes' });
          if (request.query === 'no') return refuse(451, { code: 'NOT_HERE', detail: 'not in this country', retryAfterSeconds: 9 });
        },
      }`),
    });
    const gateway = await gatewayWith(t, join(folder, 'mine.ts'), { gateway: { errorFormat: 'nested' } });
    const made = await fetch(`${gateway.url}/guarded/1?json`);
    assert.equal(made.status, 201);
    assert.equal(made.headers.get('x-made'), 'yes');
    assert.deepEqual(await made.json(), { made: true });
    const refused = await fetch(`${gateway.url}/guarded/1?no`);
    assert.equal(refused.status, 451);
    assert.equal(refused.headers.get('retry-after'), '9');
    const { error } = (await refused.json()) as { error: { code: string; details: object } };
    assert.equal(error.code, 'NOT_HERE');
    assert.deepEqual(error.details, { reason: 'policy_refused', detail: 'not in this country' });
    assert.equal((await fetch(`${gateway.url}/guarded/1`)).status, 200);
  });

  test('of gateway, service and route run in this order, each in the order written, after the built-in ones', async (t) => {
    const note = (name: string): string =>
      `import { definePolicy } from 'gatehouse/policy';
export default definePolicy({ name: '${name}', create: () => ({
  requestHead(request) { globalThis.order = (globalThis.order ?? '') + '${name} '; request.setUpstreamHeader('X-Order', globalThis.order); },
  finish() { globalThis.order = ''; },
}) });`;
    const folder = await folderWith(t, { 'g.ts': note('g'), 's.ts': note('s'), 'a.ts': note('a'), 'b.ts': note('b') });
    const { url } = await echoUpstream(t);
    const gateway = await startTestGateway(t, {
      gateway: { use: join(folder, 'g.ts') },
      services: { echo: { instances: [{ url }], use: [join(folder, 's.ts')] } },
      routes: [
        { match: { path: '/x' }, service: 'echo', auth: 'public', use: [join(folder, 'b.ts'), join(folder, 'a.ts')] },
        { match: { path: '/off' }, service: 'echo', auth: 'public', use: 'off' },
      ],
    });
    assert.equal((await received(await fetch(`${gateway.url}/x`)))['x-order'], 'g s b a');
    assert.equal((await received(await fetch(`${gateway.url}/off`)))['x-order'], undefined);
  });

  test('acts once per request on arrival, however many routes share it', async (t) => {
    const folder = await folderWith(t, {
      'mine.ts': policy(`{ seen: 0, arrival(request) { request.addResponseHeader('X-Seen', String(++this.seen)); } }`),
    });
    // `seen` is no hook; state belongs outside of the hooks.
    await assert.rejects(gatewayWith(t, join(folder, 'mine.ts')), /there is no hook "seen"/);
    await writeFile(
      join(folder, 'mine.ts'),
      policy(`((seen) => ({ arrival(request) { request.addResponseHeader('X-Seen', String(++seen)); } }))(0)`),
    );
    const { url } = await echoUpstream(t);
    const route = { service: 'echo', auth: 'public' };
    const gateway = await startTestGateway(t, {
      gateway: { use: join(folder, 'mine.ts') },
      services: { echo: { instances: [{ url }] } },
      routes: [1, 2, 3].map((n) => ({ match: { path: `/${n}` }, ...route })),
    });
    assert.equal((await fetch(`${gateway.url}/1`)).headers.get('x-seen'), '1');
    assert.equal((await fetch(`${gateway.url}/2`)).headers.get('x-seen'), '2');
    assert.equal((await fetch(`${gateway.url}/nowhere`)).headers.get('x-seen'), '3');
  });
});

describe('a policy that does wrong', () => {
  test('and throws, rejects or returns nonsense fails its own request only, named in log and metric', async (t) => {
    const folder = await folderWith(t, {
      'mine.ts': policy(`{
        requestHead(request) {
          if (request.query === 'throw') throw new Error('no luck');
          if (request.query === 'reject') return Promise.reject(new Error('no luck later'));
          if (request.query === 'number') return 42;
          if (request.query === 'framing') return { status: 200, headers: { 'Content-Length': '3' }, body: 'four' };
          if (request.query === 'split') return { status: 200, headers: { 'X-A': 'a\\r\\nX-B: b' } };
          if (request.query === 'field') request.setUpstreamHeader('X-A', 'a\\r\\nX-B: b');
        },
        responseHead(exchange) { if (exchange.query === 'head') throw new Error('head'); },
        finish(exchange) { if (exchange.query === 'finish') throw new Error('finish'); },
      }`),
    });
    const gateway = await gatewayWith(t, join(folder, 'mine.ts'));
    for (const query of ['throw', 'reject', 'number', 'framing', 'split', 'field']) {
      const response = await fetch(`${gateway.url}/guarded/1?${query}`);
      assert.equal(response.status, 500, query);
      assert.equal(((await response.json()) as { reason: string }).reason, 'policy_failed', query);
    }
    assert.equal((await fetch(`${gateway.url}/guarded/1?head`)).status, 500);
    assert.equal((await fetch(`${gateway.url}/guarded/1?finish`)).status, 200);
    assert.equal((await fetch(`${gateway.url}/guarded/1`)).status, 200);
    // `head` fails twice: on the service's response, and on the error that takes its place.
    await eventually('9 failures', async () => (await metric(gateway, 'gatehouse_policy_failures_total')) === 9);
    const line = gateway.logged.find((each) => each.includes('a policy failed'));
    assert.match(line ?? '', /"policy":"mine".*no luck/);
  });

  test('and would frame a message, leave its path or send no status fails its own request, and the next one is whole', async (t) => {
    const HOOKS: Record<string, string> = {
      host: "x.setUpstreamHeader('Host', 'evil')",
      length: "x.setUpstreamHeader('content-length', '5')",
      coding: "x.setUpstreamHeader('Transfer-Encoding', 'chunked')",
      options: "x.removeUpstreamHeader('Connection')",
      up: "x.setUpstreamTarget('/a/../../etc', null)",
      encoded: "x.setUpstreamTarget('/a/%2e%2E%2fetc', null)",
      'r-length': "x.setResponseHeader('Content-Length', '3')",
      'r-none': "x.removeResponseHeader('Content-Length')",
      'r-coding': "x.addResponseHeader('Transfer-Encoding', 'gzip')",
      'r-status': 'x.setStatus(42)',
      'r-empty': 'x.setStatus(204)',
      thenable: "return { then() { throw new Error('then'); } }",
    };
    const cases = (ofResponses: boolean): string =>
      Object.entries(HOOKS)
        .filter(([name]) => name.startsWith('r-') === ofResponses)
        .map(([name, code]) => `case '${name}': ${code}; break;`)
        .join('\n');
    const file = policy(`{
      requestHead(x) { switch (x.params.id) { ${cases(false)} } },
      responseHead(x) { switch (x.params?.id ?? x.path.slice(9)) { ${cases(true)} } },
    }`);
    const folder = await folderWith(t, { 'mine.ts': file });
    const gateway = await gatewayWith(t, [{ policy: join(folder, 'mine.ts') }]);
    const caller = new RawCaller(gateway.port);
    t.after(() => void caller.socket.destroy());
    for (const name of Object.keys(HOOKS)) {
      caller.send(`GET /guarded/${name} HTTP/1.1\r\nHost: a\r\n\r\n`);
      const { status, body } = await caller.answer();
      assert.deepEqual([status, /"reason":"(\w+)"/.exec(body.toString())?.[1]], [500, 'policy_failed'], name);
      caller.send('GET /plain HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.equal((await caller.answer()).status, 200, `after ${name}`);
    }
  });

  test('and never settles is 504 after its timeout, its signal aborted, its late result ignored', async (t) => {
    const folder = await folderWith(t, {
      'mine.ts': policy(`{
        requestHead(request, { signal }) {
          return new Promise((resolve) => signal.addEventListener('abort', () =>
            setTimeout(() => resolve({ status: 200, body: signal.reason.name }), 1)));
        },
      }`),
    });
    const gateway = await gatewayWith(t, [{ policy: join(folder, 'mine.ts'), timeout: '20ms' }]);
    const response = await fetch(`${gateway.url}/guarded/1`);
    assert.equal(response.status, 504);
    assert.equal(((await response.json()) as { reason: string }).reason, 'policy_timeout');
    await eventually('a late result', async () => (await metric(gateway, 'gatehouse_policy_late_results_total')) === 1);
    assert.equal(await metric(gateway, 'gatehouse_policy_timeouts_total'), 1);
  });

  test('and loops for ever costs its worker, then, after three times, only its own routes', async (t) => {
    const folder = await folderWith(t, {
      'mine.ts': policy(`{ requestHead(request) { if (request.query === 'loop') for (;;); } }`),
    });
    const gateway = await gatewayWith(t, join(folder, 'mine.ts'), {
      gateway: { policies: { loopTimeout: '200ms' }, workers: 1 },
    });
    for (let i = 1; i <= 3; i++) {
      await assert.rejects(fetch(`${gateway.url}/guarded/1?loop`));
      await eventually('a new worker', async () => (await fetch(`${gateway.url}/plain`)).status === 200);
      assert.equal(await metric(gateway, 'gatehouse_policy_kills_total'), i);
    }
    const response = await fetch(`${gateway.url}/guarded/1`);
    assert.equal(response.status, 503);
    assert.equal(((await response.json()) as { reason: string }).reason, 'policy_broken');
    assert.equal(await metric(gateway, 'gatehouse_policy_out_of_use'), 1);
    assert.equal((await fetch(`${gateway.url}/plain`)).status, 200);
    assert.ok(gateway.logged.some((line) => line.includes('a policy is out of use') && line.includes('"mine"')));
    // Another text is another policy.
    await writeFile(join(folder, 'mine.ts'), policy('{ requestHead() {} }'));
    assert.equal((await gateway.reload()).ok, true);
    assert.equal((await fetch(`${gateway.url}/guarded/1`)).status, 200);
    assert.equal(await metric(gateway, 'gatehouse_policy_out_of_use'), 0);
    await assertSeries(gateway.url, [['gatehouse_policy_modules', 2]]);
  });

  test('and rewrites what all code shares is refused when it is loaded; later it is put back, and the gateway goes on', async (t) => {
    const folder = await folderWith(t, {
      'mine.ts': `Array.prototype.map = function () { return []; };\n${policy('{ requestHead() {} }')}`,
    });
    const file = join(folder, 'mine.ts');
    await assert.rejects(
      gatewayWith(t, file),
      /it changes Array\.prototype\.map, which all code of the gateway shares/,
    );
    await writeFile(file, policy('(() => { Object.prototype.extra = 1; return { requestHead() {} }; })()'));
    await assert.rejects(gatewayWith(t, file), /it changes Object\.prototype\.extra/);
    await writeFile(
      file,
      policy(`{
        requestHead(request) {
          if (request.query === 'rewrite') { Math.hypot = () => 7; Array.prototype.copyWithin = null; Array.prototype.extra = 1; }
          if (request.query === 'look') return json(200, { own: Math.hypot(3, 4) === 5 && [].copyWithin !== null && ![].extra });
        },
      }`),
    );
    const gateway = await gatewayWith(t, file);
    await fetch(`${gateway.url}/guarded/1?rewrite`).catch(() => {});
    await eventually(
      'all is as it was',
      async () => ((await (await fetch(`${gateway.url}/guarded/1?look`)).json()) as { own: boolean }).own,
      60_000,
    );
    assert.equal((await fetch(`${gateway.url}/plain`)).status, 200);
    const line = gateway.logged.find((each) => each.includes('it was put back')) ?? '';
    for (const name of ['Math.hypot', 'Array.prototype.copyWithin', 'Array.prototype.extra'])
      assert.ok(line.includes(`"${name}"`), line);
    assert.match(line, /"mine"/);
  });

  test('and keeps more and more memory, or ends the process, ends its worker, which is replaced', async (t) => {
    const folder = await folderWith(t, {
      'mine.ts': policy(`{
        requestHead(request) {
          globalThis.kept ??= [];
          if (request.query === 'leak') for (let i = 0; i < 400; i++) globalThis.kept.push(Array.from({ length: 50_000 }, (_, n) => ({ n })));
          if (request.query === 'exit') process.exit(1);
        },
      }`),
    });
    const gateway = await gatewayWith(t, join(folder, 'mine.ts'), {
      gateway: { policies: { memory: '96mb', loopTimeout: '60s' } },
    });
    const serves = async (): Promise<boolean> => (await fetch(`${gateway.url}/guarded/1`)).status === 200;
    for (const query of ['leak', 'exit']) {
      const before = gateway.logged.filter((each) => each.includes('a worker was replaced')).length;
      await assert.rejects(fetch(`${gateway.url}/guarded/1?${query}`), query);
      await eventually(
        `${query}: a new worker`,
        async () =>
          gateway.logged.filter((each) => each.includes('a worker was replaced')).length > before && (await serves()),
        60_000,
      );
    }
    assert.ok(gateway.logged.some((each) => each.includes('a worker failed') && each.includes('memory limit')));
  });
});

describe('a policy that changes', () => {
  test('is taken up by a reload, with what it imports; the same text keeps its state', async (t) => {
    const text = `import { definePolicy } from 'gatehouse/policy';
import { word } from './word.ts';
export default definePolicy({ name: 'mine', create() {
  let count = 0;
  return { requestHead(request) { request.addResponseHeader('X-Word', word + ++count); } };
} });`;
    const folder = await folderWith(t, { 'mine.ts': text, 'word.ts': `export const word: string = 'one';` });
    const gateway = await gatewayWith(t, join(folder, 'mine.ts'));
    const word = async () => (await fetch(`${gateway.url}/guarded/1`)).headers.get('x-word');
    assert.equal(await word(), 'one1');
    assert.equal((await gateway.reload()).ok, true);
    assert.equal(await word(), 'one2');
    await writeFile(join(folder, 'word.ts'), `export const word: string = 'two';`);
    assert.equal((await gateway.reload()).ok, true);
    assert.equal(await word(), 'two1');
    await writeFile(join(folder, 'word.ts'), 'export const other = 1;');
    const refused = await gateway.reload();
    assert.equal(refused.ok, false);
    assert.match(refused.problems.join(), /word/);
    assert.equal(await word(), 'two2');
  });
});

describe('a policy that cannot be used stops the start', () => {
  for (const [what, text, expected] of [
    ['does not parse', 'const a = 1;\nexport default {', /cannot be loaded.*\(mine\.ts, line 2\)/],
    ['has an enum', `enum A { B } export default {}`, /cannot be loaded.*enum/],
    ['is none', 'export default {}', /not made with definePolicy/],
    ['ends the process', 'process.exit(3)', /ended the process/],
    ['throws', `throw new Error('not today')`, /not today \(mine\.ts, line 1\)/],
    ['throws in create', policy(`(() => { throw new Error('no database'); })()`), /no database/],
    ['has no such hook', policy('{ onRequest() {} }'), /there is no hook "onRequest"/],
  ] as const) {
    test(what, async (t) => {
      const folder = await folderWith(t, { 'mine.ts': text });
      await assert.rejects(gatewayWith(t, join(folder, 'mine.ts')), expected);
    });
  }

  test('does not fit its options, by JSON Schema or by Zod, with the place', async (t) => {
    const zod = new URL('../../node_modules/zod/index.js', import.meta.url).href;
    const folder = await folderWith(t, {
      'mine.ts': policy(
        '{}',
        `options: { type: 'object', required: ['claim'], additionalProperties: false, properties: { claim: { type: 'string' } } },`,
      ),
      'zod.ts': `import * as z from '${zod}';
import { definePolicy } from 'gatehouse/policy';
export default definePolicy({ name: 'zod', options: z.object({ size: z.number() }), create: () => ({}) });`,
    });
    const refused = async (use: unknown): Promise<string> => {
      const error = await gatewayWith(t, use).catch((thrown: unknown) => thrown);
      assert.ok(error instanceof ConfigurationError, String(error));
      return error.message;
    };
    const mine = join(folder, 'mine.ts');
    assert.match(await refused(mine), /routes\[0\]\.use/);
    assert.match(await refused([{ policy: mine, options: { claim: 5 } }]), /use\[0\]\.options\.claim.*a string/s);
    assert.match(await refused([{ policy: mine, options: { claim: 'a', x: 1 } }]), /use\[0\]\.options/);
    assert.match(
      await refused([{ policy: join(folder, 'zod.ts'), options: { size: 'x' } }]),
      /use\[0\]\.options\.size/,
    );
  });

  test('would let in whom it keeps out when it is skipped', async (t) => {
    const folder = await folderWith(t, { 'mine.ts': policy('{ authorize() {} }') });
    await assert.rejects(
      gatewayWith(t, [{ policy: join(folder, 'mine.ts'), onBroken: 'skip' }]),
      /onBroken: skip would open/,
    );
  });

  test('does not exist', async (t) => {
    await assert.rejects(gatewayWith(t, './no-such.ts'), /does not exist/);
  });
});

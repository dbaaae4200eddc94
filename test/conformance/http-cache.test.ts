/**
 * The public suite of HTTP cache tests (https://cache-tests.fyi) against a gateway with `cache`. A test of kind
 * `required` is what RFC 9111 demands, `optimal` what a good cache does besides, `check` only tells how a cache
 * behaves. What is not passed is listed in docs/guide/caching.md, with the reason; the two lists must agree.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { httpCacheSuite } from '../../tools/http-cache-suite.ts';
import { startTestGateway } from '../support/gateway.ts';

interface SuiteTest {
  readonly id: string;
  readonly name: string;
  readonly kind?: 'required' | 'optimal' | 'check';
  readonly browser_only?: boolean;
}

interface Suite {
  readonly name: string;
  readonly tests: readonly SuiteTest[];
}

type Result = true | readonly [string, string];
type Handler = (path: string[], request: IncomingMessage, response: ServerResponse) => void;

const agent = new Agent({ keepAlive: true, maxSockets: 100 });

/** What the suite uses of `fetch`: that of Node refuses some of its fields and statuses, and is no plain client. */
function plainFetch(
  url: string,
  init: { method?: string; headers?: readonly (readonly [string, string])[]; body?: string } = {},
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: init.method ?? 'GET', agent });
    for (const [name, value] of init.headers ?? []) sent.appendHeader(name, value);
    // Node frames no body of a DELETE by itself.
    if (init.body !== undefined) sent.setHeader('Content-Length', Buffer.byteLength(init.body));
    sent.on('error', reject);
    sent.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const fields = new Map<string, string>();
        const { rawHeaders } = response;
        for (let i = 0; i < rawHeaders.length; i += 2) {
          const name = rawHeaders[i]!.toLowerCase();
          const before = fields.get(name);
          fields.set(name, before === undefined ? rawHeaders[i + 1]! : `${before}, ${rawHeaders[i + 1]!}`);
        }
        const headers = {
          get: (name: string) => fields.get(name.toLowerCase()) ?? null,
          has: (name: string) => fields.has(name.toLowerCase()),
          forEach: (each: (value: string, name: string) => void) => fields.forEach(each),
          [Symbol.iterator]: () => fields.entries(),
        };
        const text = async (): Promise<string> => Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode, statusText: response.statusMessage, headers, text });
      });
    });
    sent.end(init.body);
  });
}

/** The tests that docs/guide/caching.md says are not passed, by kind. */
function documented(kind: string): string[] {
  const page = readFileSync(new URL('../../docs/guide/caching.md', import.meta.url), 'utf8');
  return [...page.matchAll(/^\| `([\w=-]+)` \| (required|optimal) \|/gm)]
    .filter(([, , of]) => of === kind)
    .map(([, id]) => id!)
    .sort();
}

test('the public suite of cache tests passes, but for what the guide lists', { timeout: 300_000 }, async (t) => {
  const folder = httpCacheSuite();
  const load = async (path: string): Promise<Record<string, unknown>> =>
    await import(pathToFileURL(join(folder, path)).href);
  const [config, served, state, runner, list] = await Promise.all(
    [
      'server/handle-config.mjs',
      'server/handle-test.mjs',
      'server/handle-state.mjs',
      'client/runner.mjs',
      'tests/index.mjs',
    ].map(load),
  );
  const handlers = { config: config!['default'], test: served!['default'], state: state!['default'] } as Record<
    string,
    Handler
  >;
  const origin = createServer((incoming, response) => {
    const [, kind = '', ...path] = new URL(incoming.url!, 'http://origin').pathname.split('/');
    handlers[kind]!(path, incoming, response);
  });
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    agent.destroy();
    origin.closeAllConnections();
    origin.close();
  });
  const gateway = await startTestGateway(t, {
    services: { origin: { instances: [{ url: `http://127.0.0.1:${(origin.address() as AddressInfo).port}` }] } },
    routes: [
      {
        match: { path: '/test/*' },
        service: 'origin',
        auth: 'public',
        cache: { setCookie: 'store', heuristics: '10%' },
      },
      { match: { path: '/*' }, service: 'origin', auth: 'public' },
    ],
  });

  const suites = list!['default'] as Suite[];
  const run = runner!['runTests'] as (suites: Suite[], fetch: unknown, browser: boolean, base: string) => Promise<void>;
  await run(suites, plainFetch, false, gateway.url);
  const results = (runner!['getResults'] as () => Record<string, Result>)();

  const ran = suites.flatMap(({ tests }) => tests).filter(({ browser_only }) => browser_only !== true);
  const failed: Record<'required' | 'optimal', string[]> = { required: [], optimal: [] };
  for (const kind of ['required', 'optimal'] as const) {
    const those = ran.filter((each) => (each.kind ?? 'required') === kind);
    failed[kind] = those
      .filter(({ id }) => results[id] !== true)
      .map(({ id }) => id)
      .sort();
    t.diagnostic(`${kind}: ${those.length - failed[kind].length} of ${those.length}`);
    for (const id of failed[kind]) t.diagnostic(`  ${id}: ${[results[id]].flat().join(': ')}`);
  }
  assert.ok(ran.length > 250, `${ran.length} tests ran`);
  assert.deepEqual(failed.required, documented('required'));
  assert.deepEqual(failed.optimal, documented('optimal'));
});

/**
 * A real nginx and the gateway with what was imported from it, asked the same: status, service, path, host, location.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { importText } from '../../src/cli/import.ts';
import { startTestGateway } from '../support/gateway.ts';
import { freePort } from '../support/ports.ts';
import { httpUpstream } from '../support/upstream.ts';
import { ask, numbers, startNginx } from './nginx.ts';

const configuration = (port: number, one: string, two: string): string => `
  upstream both { server ${one}; }
  server {
    listen 127.0.0.1:${port} default_server;
    server_name a.example;
    location = /exact { proxy_pass http://${one}; }
    location /api/ { proxy_pass http://${one}/v1/; proxy_set_header Host $host; }
    location /api/deep/ { proxy_pass http://${two}; }
    location ^~ /guarded/ { proxy_pass http://${two}/; }
    location ~ ^/(img|css)/[a-z]+\\.(png|css)$ { proxy_pass http://${two}; }
    location ~ \\.php$ { return 403; }
    location /gone/ { return 410 "gone\\n"; }
    location /moved/ { return 301 http://b.example$request_uri; }
    location / { proxy_pass http://both; proxy_set_header X-From nginx; }
  }
  server {
    listen 127.0.0.1:${port};
    server_name b.example *.b.example;
    location /only/ { proxy_pass http://${two}/x/y/; proxy_set_header Host fixed.example; }
    location / { return 404; }
  }
`;

const SEGMENTS = [
  'api',
  'deep',
  'guarded',
  'img',
  'css',
  'a.png',
  'b.css',
  'x.php',
  'exact',
  'gone',
  'moved',
  'only',
  'a',
  'B',
  '7',
  'a%20b',
  'caf%C3%A9',
  '-._~',
];
const HOSTS = ['a.example', 'b.example', 'c.b.example', 'A.EXAMPLE', 'unknown.example', 'a.example:8080'];
const QUERIES = ['', '', '?x=1', '?x=%2F&y=', '?'];

test('400 generated requests get from the gateway what nginx gives them', async (t) => {
  const upstreams = await Promise.all(
    ['one', 'two'].map((name) =>
      httpUpstream(t, (asked, response) => {
        const { host, 'x-from': from } = asked.headers;
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ name, method: asked.method, url: asked.url, host, from }));
      }),
    ),
  );
  const [one, two] = upstreams.map(({ port }) => `127.0.0.1:${port}`) as [string, string];
  const port = await freePort();
  const text = configuration(port, one, two);
  await startNginx(t, text, port);
  const document = parse((await importText('nginx', text)).yaml('nginx.conf')) as Record<string, unknown>;
  const gateway = await startTestGateway(t, {
    ...document,
    gateway: { ...(document['gateway'] as object), listeners: undefined },
  });

  const random = numbers(20261129);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const differences: string[] = [];
  const seen = new Set<string>();
  for (let i = 0; i < 400; i++) {
    const depth = 1 + Math.floor(random() * 3);
    // A slash at the end: where a prefix ends at a slash is in the report, and not the same.
    const path = `/${Array.from({ length: depth }, () => pick(SEGMENTS)).join('/')}${random() < 0.4 ? '/' : ''}`;
    if (/^\/(api|guarded|gone|moved|only)$|^\/api\/deep$/.test(path)) continue;
    const wish = { method: pick(['GET', 'GET', 'POST', 'DELETE']), path: `${path}${pick(QUERIES)}`, host: pick(HOSTS) };
    const [expected, got] = await Promise.all([ask(port, wish), ask(gateway.port, wish)]);
    seen.add(expected.replace(/"url":"[^"]*"/, ''));
    if (expected !== got) differences.push(`${JSON.stringify(wish)}\n  nginx    ${expected}\n  gateway  ${got}`);
  }
  assert.deepEqual(differences, []);
  assert.ok(seen.size > 15, `so many different answers: ${seen.size}`);
});

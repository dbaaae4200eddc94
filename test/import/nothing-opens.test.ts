/**
 * A real nginx with guards of many kinds, and the gateway with what was imported from it: whatever nginx keeps from the
 * service, the gateway keeps from it too.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { importText } from '../../src/cli/import.ts';
import { startTestGateway } from '../support/gateway.ts';
import { freePort } from '../support/ports.ts';
import { httpUpstream } from '../support/upstream.ts';
import { ask, numbers, startNginx } from './nginx.ts';

const configuration = (port: number, service: string): string => `
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  limit_conn_zone $binary_remote_addr zone=addr:1m;
  server {
    listen 127.0.0.1:${port};
    server_name a.example;
    location = /exact { proxy_pass http://${service}; }
    location / { proxy_pass http://${service}; }
    location /admin { return 403; }
    location /adminpublic { proxy_pass http://${service}; }
    location /staff { auth_basic "staff"; auth_basic_user_file users; proxy_pass http://${service}; }
    location /staff/open { auth_basic off; proxy_pass http://${service}; }
    location /inner { internal; proxy_pass http://${service}; }
    location /write { limit_except GET { deny all; } proxy_pass http://${service}; }
    location /.ht { deny all; }
    location ^~ /.git { deny all; }
    location ~ ^/secret|^/hidden { deny all; }
    location ~ (/keys|/tokens) { return 404; }
    location ~ /?vault { return 403; }
    location ~* \\.(env|bak)$|composer\\.json { deny all; }
    location ~ /\\.(?!well-known).* { deny all; }
    location ~ ^/report/[0-9]+$ { deny all; }
    location /deep/a { location /deep/a/b { deny all; } proxy_pass http://${service}; }
    location /near { allow 192.0.2.0/24; deny all; proxy_pass http://${service}/; }
    location /decided { if ($arg_key != "1") { return 403; } proxy_pass http://${service}; }
    location /connections { limit_conn addr 1; proxy_pass http://${service}; }
  }
  server {
    listen 127.0.0.1:${port};
    server_name ~^(?<tenant>.+)\\.tenant\\.example$;
    auth_basic "tenant";
    auth_basic_user_file users;
    location / { proxy_pass http://${service}; }
  }
  server {
    listen 127.0.0.1:${port};
    server_name .b.example;
    location / { return 403; }
    location /b/ { proxy_pass http://${service}; }
  }
`;

const SEGMENTS = [
  ...[
    'admin',
    'adminpublic',
    'admin.php',
    'staff',
    'open',
    'staffroom',
    'inner',
    'innermost',
    'write',
    'writer',
    'near',
  ],
  ...[
    '.ht',
    '.htaccess',
    '.git',
    '.gitignore',
    'secret',
    'hidden',
    'secrets',
    'keys',
    'tokens',
    'vault',
    'vaults',
    'nearby',
  ],
  ...['x.env', 'x.ENV', 'x.bak', 'composer.json', 'composer.jsonx', '.well-known', '.x', 'report', '12', '12x', 'deep'],
  ...[
    'a',
    'b',
    'decided',
    'connections',
    'exact',
    'ADMIN',
    'Staff',
    'adm%69n',
    '%2Egit',
    'a%2Fadmin',
    'a%20b',
    ';x',
    'x',
  ],
];
const HOSTS = ['a.example', 'a.example', 'a.example', 'b.example', 'x.b.example', 'unknown.example'];
const QUERIES = ['', '', '?key=1', '?x=/admin', '?'];

test('what nginx keeps from a service, the gateway keeps from it: 4,000 generated requests', async (t) => {
  const upstream = await httpUpstream(t, (asked, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ method: asked.method, url: asked.url }));
  });
  const port = await freePort();
  const text = configuration(port, `127.0.0.1:${upstream.port}`);
  await startNginx(t, text, port);
  const draft = await importText('nginx', text);
  const document = parse(draft.yaml('nginx.conf')) as Record<string, unknown>;
  const gateway = await startTestGateway(t, {
    ...document,
    gateway: { ...(document['gateway'] as object), listeners: undefined },
  });
  const random = numbers(20261201);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const opened: string[] = [];
  let [open, closed, both] = [0, 0, 0];
  for (let i = 0; i < 4_000; i++) {
    const depth = 1 + Math.floor(random() * 3);
    const path = `/${Array.from({ length: depth }, () => pick(SEGMENTS)).join('/')}${random() < 0.2 ? '/' : ''}`;
    const wish = { method: pick(['GET', 'GET', 'POST']), path: `${path}${pick(QUERIES)}`, host: pick(HOSTS) };
    const [expected, got] = await Promise.all([ask(port, wish), ask(gateway.port, wish)]);
    // nginx redirects `/b` to `/b/`, which is in the report and guards nothing.
    const [isOpen, isOpened] = [expected, got].map((answer) => /^301 |"method"/.test(answer));
    if (isOpen) open++;
    else closed++;
    if (isOpen && isOpened) both++;
    if (isOpened && !isOpen) opened.push(`${JSON.stringify(wish)}\n  nginx    ${expected}\n  gateway  ${got}`);
  }
  assert.deepEqual(opened, []);
  assert.ok(open > 500 && closed > 1_000, `${open} open, ${closed} closed`);
  assert.ok(both > open / 2, `of ${open} open ones ${both} are open here`);
});

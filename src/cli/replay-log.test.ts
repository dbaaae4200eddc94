import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { commandLine } from './command-line.suite.ts';
import { readLogLine } from './replay-log.ts';

const cli = commandLine();
after(() => cli.remove());

before(() => {
  writeFileSync(
    join(cli.folder, 'gatehouse.yaml'),
    `
gateway: { endpoints: off }
services: { a: { instances: [http://127.0.0.1:4001] } }
routes:
  - { name: users, match: { path: "/users/:id", methods: [GET] }, service: a, auth: public }
  - { name: shop, match: { path: /cart/*, hosts: shop.example }, service: a, auth: public }
  - { name: waits, match: { path: /admin/* }, respond: { status: 501 }, auth: public }
`,
  );
});

const COMMON = '"-" "curl/8"';
const at = (request: string, status: number): string =>
  `192.0.2.1 - - [29/Nov/2026:10:00:00 +0000] "${request}" ${status} 12 ${COMMON}`;

test('lines of the usual logs are read', () => {
  assert.deepEqual(readLogLine(at('GET /users/1?x=1 HTTP/1.1', 200)), {
    method: 'GET',
    target: '/users/1?x=1',
    host: '',
    status: 200,
  });
  const withHost = `shop.example:443 2001:db8::1 - ann [29/Nov/2026:10:00:00 +0000] "GET /cart/1 HTTP/2.0" 304 0`;
  assert.deepEqual(readLogLine(withHost), { method: 'GET', target: '/cart/1', host: 'shop.example', status: 304 });
  const logs = {
    gatehouse: { method: 'GET', host: 'a.example', path: '/x', status: 200 },
    caddy: { request: { method: 'GET', host: 'a.example', uri: '/x' }, status: 200 },
    kong: { request: { method: 'GET', uri: '/x' }, response: { status: 200 }, host: 'a.example' },
    nginx: { request: 'GET /x HTTP/1.1', request_method: 'GET', request_uri: '/x', host: 'a.example', status: '200' },
    traefik: { RequestMethod: 'GET', RequestPath: '/x', RequestHost: 'a.example', DownstreamStatus: 200 },
  };
  for (const [name, entry] of Object.entries(logs)) {
    const read = readLogLine(JSON.stringify(entry));
    assert.deepEqual(read, { method: 'GET', target: '/x', host: 'a.example', status: 200 }, name);
  }
});

test('what is no request is no request', () => {
  for (const line of ['', 'hello', '{', '{}', '[1]', '{"method":"GET"}', at('', 400), at('\\x16\\x03\\x01', 400)])
    assert.equal(readLogLine(line), null, line);
});

test('each route says how many it takes; what was answered and would be refused is named, and is exit code 4', async () => {
  const lines = [
    at('GET /users/1 HTTP/1.1', 200),
    at('GET /users/2?secret=1 HTTP/1.1', 404),
    at('DELETE /users/2?secret=1 HTTP/1.1', 204),
    at('DELETE /users/2 HTTP/1.1', 204),
    at('GET /admin/x HTTP/1.1', 200),
    at('GET /nothing HTTP/1.1', 404),
    at('GET /cart/1 HTTP/1.1', 200),
    'not a request',
  ];
  writeFileSync(join(cli.folder, 'access.log'), `${lines.join('\n')}\n`);
  const { code, out } = await cli.run('routes', '--log', 'access.log', '--host', 'shop.example');
  assert.equal(code, 4);
  assert.match(
    out,
    /^7 requests of the log, 4 taken by 3 routes\n1 line could not be read as a request\n1 refused there/,
  );
  assert.match(out, / 2 {2}users\n/);
  assert.match(out, /closed here .*\n +1 {2}GET shop\.example\/admin\/x\n/);
  assert.match(out, /answered there, refused here:\n +2 {2}405 the path takes GET.*: DELETE shop\.example\/users\/2\n/);
  assert.doesNotMatch(out, /secret/, 'queries may hold secrets');
  const without = await cli.run('routes', '--log', 'access.log', '--json');
  const { lost } = JSON.parse(without.out) as { lost: Record<string, number> };
  assert.equal(lost['404 no route matches: GET /cart/1'], 1);
});

test('when each that was answered has its route, the exit code is 0', async () => {
  writeFileSync(join(cli.folder, 'good.log'), `${at('GET /users/1 HTTP/1.1', 200)}\n`);
  assert.equal((await cli.run('routes', '--log', 'good.log')).code, 0);
});

test('a log that is not there is named', async () => {
  const { code, err } = await cli.run('routes', '--log', 'missing.log');
  assert.equal(code, 5);
  assert.equal(err, 'missing.log: the file cannot be read: it does not exist\n');
});

test('import --verify looks the requests up in what it wrote', async () => {
  writeFileSync(
    join(cli.folder, 'nginx.conf'),
    'http { server { listen 80; server_name shop.example; location /cart/ { proxy_pass http://127.0.0.1:4001; } } }',
  );
  const log = [at('GET /cart/1 HTTP/1.1', 200), at('GET /missing HTTP/1.1', 200)];
  writeFileSync(join(cli.folder, 'old.log'), `${log.join('\n')}\n`);
  const args = ['--verify', 'old.log', '--host', 'shop.example', '--out', 'moved'];
  const { code, out } = await cli.run('import', 'nginx', 'nginx.conf', ...args);
  assert.equal(code, 2, out);
  assert.match(out, /2 requests of the log, 1 taken by 1 route/);
  assert.match(out, /answered there, refused here:\n +1 {2}404 .*GET shop\.example\/missing\n/);
});

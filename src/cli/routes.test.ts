import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { commandLine } from './command-line.suite.ts';

const cli = commandLine();
after(() => cli.remove());

before(() => {
  writeFileSync(
    join(cli.folder, 'gatehouse.yaml'),
    `
gateway: { endpoints: off }
services: { a: { instances: [http://127.0.0.1:4001] }, b: { instances: [http://127.0.0.1:4002] } }
routes:
  - { match: { path: "/users/:id", methods: [GET, PUT] }, service: a, auth: public }
  - { name: everything, match: { path: /users/* }, service: [{ service: a, weight: 9 }, { service: b }], auth: public }
  - { match: { path: /orders, hosts: api.example, headers: { X-Beta: "1" } }, service: b, priority: 3, auth: public }
  - { match: { path: /v1/x }, redirect: /v2/x, auth: public }
`,
  );
});

test('without a request the routes are listed in the order in which they are considered', async () => {
  const { code, out } = await cli.run('routes');
  assert.equal(code, 0);
  assert.deepEqual(
    out
      .split('\n')
      .slice(0, 2)
      .map((line) => line.replace(/ {2,}/g, ' | ')),
    [
      'any api.example/orders (if x-beta; priority 3) | service b | api.example/orders [x-beta=1]',
      'any /v1/x | redirect 308 /v2/x | /v1/x',
    ],
  );
});

test('a request shows the route that takes it, its parameters, and the next ones', async () => {
  const { code, out } = await cli.run('routes', 'GET', '/users/7%20a?x=1');
  assert.equal(code, 0);
  assert.match(out, /-> GET,PUT \/users\/:id: service a\n {5}:id = "7 a"\n/);
  assert.match(out, /\* GET,PUT \/users\/:id: /);
  assert.match(out, /everything: fits, but another route goes before it/);
  assert.match(out, /2 more have another host or path/);
});

test('a route that does not fit says why', async () => {
  const { out } = await cli.run('routes', 'DELETE', 'http://localhost/users/7');
  assert.match(out, /-> everything: services a \(9\), b \(1\)/);
  assert.match(out, /GET,PUT \/users\/:id: the method is DELETE/);
});

test('header fields and the host of a URL count', async () => {
  const without = await cli.run('routes', 'gatehouse.yaml', 'GET', 'http://API.example:8443/orders', '--all');
  assert.equal(without.code, 4);
  assert.match(without.out, /404: no route matches/);
  assert.match(without.out, /the field x-beta must be "1", there is none/);
  const withField = await cli.run(
    'routes',
    'gatehouse.yaml',
    'get',
    '/orders',
    '-H',
    'Host: api.example',
    '-H',
    'X-Beta: 1',
  );
  assert.equal(withField.code, 0);
  assert.match(withField.out, /service b/);
});

test('--json says the same to programs', async () => {
  const { code, out } = await cli.run('routes', 'POST', '/nowhere', '--json');
  assert.equal(code, 4);
  const body = JSON.parse(out) as { route: unknown; refusal: unknown; considered: unknown[] };
  assert.deepEqual([body.route, body.refusal], [null, { status: 404, reason: 'no route matches' }]);
  assert.equal(body.considered.length, 4);
  const list = JSON.parse((await cli.run('routes', '--json')).out) as unknown[];
  assert.equal(list.length, 4);
});

test('a wrong method, URL or field is a wrong use', async () => {
  const rows = [
    { args: ['G T', '/'], want: /"G T" is not a method/ },
    { args: ['GET', 'users'], want: /"users": / },
    { args: ['GET', '/a b'], want: /must be percent-encoded/ },
    { args: ['GET', '/', '-H', 'nothing'], want: /"nothing" is not a header field/ },
  ];
  for (const { args, want } of rows) {
    const { code, err } = await cli.run('routes', ...args);
    assert.equal(code, 2);
    assert.match(err, want);
  }
});

test('a wrong configuration is shown instead', async () => {
  writeFileSync(join(cli.folder, 'bad.yaml'), 'routes: 1\n');
  const { code, err } = await cli.run('routes', 'bad.yaml');
  assert.deepEqual([code, err], [1, 'bad.yaml:1:9: routes: wrong type (got 1, expected a list)\n']);
});

test('in front of a gRPC service it is said which method is called, and with what', async () => {
  const proto = `syntax = "proto3"; package a.v1; import "google/api/annotations.proto";
service Books {
  rpc Move(MoveRequest) returns (MoveRequest) {
    option (google.api.http) = { post: "/v1/{name=shelves/*/books/*}:move" body: "*" };
  }
}
message MoveRequest { string name = 1; string shelf = 2; }`;
  writeFileSync(join(cli.folder, 'books.proto'), proto);
  const file = `
services: { a: { instances: [http://127.0.0.1:4001], protocol: grpc } }
routes:
  - { match: { path: /api/* }, service: a, auth: public, rewrite: { stripPrefix: /api }, transcode: { proto: books.proto } }
`;
  writeFileSync(join(cli.folder, 'grpc.yaml'), file);
  const { code, out } = await cli.run('routes', 'grpc.yaml', 'POST', '/api/v1/shelves/1/books/2:move');
  assert.equal(code, 0);
  assert.match(out, /calls \/a\.v1\.Books\/Move \(\/v1\/\{name=shelves\/\*\/books\/\*\}:move\)\n/);
  assert.match(out, /name = "shelves\/1\/books\/2"\n +the rest = the body\n/);
  assert.match(
    (await cli.run('routes', 'grpc.yaml', 'GET', '/api/v1/x')).out,
    /no method of the service has this path/,
  );
  const listed = await cli.run('routes', 'grpc.yaml');
  assert.match(listed.out, /service a as JSON \(1 methods\)/);
  const json = JSON.parse(
    (await cli.run('routes', 'grpc.yaml', 'POST', '/api/v1/shelves/1/books/2:move', '--json')).out,
  );
  assert.equal(json.route.call.rpc, '/a.v1.Books/Move');
  const openapi = JSON.parse((await cli.run('routes', 'grpc.yaml', '--openapi', '/api/*')).out);
  assert.deepEqual(Object.keys(openapi.paths), ['/api/v1/{name}:move']);
});

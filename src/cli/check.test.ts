import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { commandLine } from './command-line.suite.ts';

let cli = commandLine();
beforeEach(() => {
  cli.remove();
  cli = commandLine();
});
after(() => cli.remove());

function write(name: string, text: string): void {
  writeFileSync(join(cli.folder, name), text);
}

const GOOD =
  'services: { a: { instances: [http://127.0.0.1:4001] } }\nroutes: [{ match: { path: /a }, service: a, auth: public }]\n';

test('a right configuration is said to be right, with what is in it', async () => {
  write('gatehouse.yaml', GOOD);
  assert.deepEqual(await cli.run('check'), {
    code: 0,
    out: 'gatehouse.yaml is right: 1 service, 1 route\n',
    err: '',
  });
});

test('everything that is wrong is shown, with its place, and the exit code is 1', async () => {
  write('other.yaml', 'gateway: { prot: 1 }\nroutes: [{ match: { path: /a }, service: b }]\n');
  const { code, out, err } = await cli.run('check', 'other.yaml');
  assert.deepEqual([code, out], [1, '']);
  assert.deepEqual(err.split('\n'), [
    'other.yaml:1:12: gateway: unknown key "prot"; did you mean "port"?',
    'other.yaml:2:42: routes[0].service: there is no such service (got "b", expected a key of services, which is empty)',
    'other.yaml: 2 errors',
    '',
  ]);
});

test('a warning refuses nothing, unless that is asked for', async () => {
  write('gatehouse.yaml', 'services: { a: { instances: [http://127.0.0.1:4001] } }\n');
  const lax = await cli.run('check');
  assert.equal(lax.code, 0);
  assert.match(lax.err, /warning: services.a: no route sends to this service/);
  const strict = await cli.run('check', '--strict');
  assert.equal(strict.code, 1);
  assert.match(strict.err, /gatehouse.yaml: 1 warning\n$/);
});

test('--json gives the problems as objects', async () => {
  write('gatehouse.json', '{ "gateway": { "port": "x" } }');
  const { code, out } = await cli.run('check', '--json');
  assert.equal(code, 1);
  assert.deepEqual(JSON.parse(out), {
    file: 'gatehouse.json',
    ok: false,
    restart: null,
    problems: [
      {
        severity: 'error',
        file: 'gatehouse.json',
        line: 1,
        column: 24,
        key: 'gateway.port',
        message: 'wrong type',
        got: '"x"',
        expected: 'a whole number',
      },
    ],
  });
});

test('of several files the first of the documented order is taken, and the others are named', async () => {
  write('gatehouse.json', '{}');
  write('gatehouse.yaml', GOOD);
  const { code, err } = await cli.run('check');
  assert.deepEqual([code, err], [0, 'gatehouse.yaml is used, and not gatehouse.json\n']);
});

test('variables of the environment count, as they do at start', async () => {
  write('gatehouse.yaml', GOOD);
  cli.env = { PORT: 'eighty' };
  const { code, err } = await cli.run('check');
  assert.equal(code, 1);
  assert.match(err, /^environment variable PORT: gateway.port: wrong type \(got "eighty", expected a whole number\)\n/);
});

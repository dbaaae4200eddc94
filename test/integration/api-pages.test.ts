/**
 * The documents of the key `openapi`: valid, for whom they are, of services that come and go, and exported and
 * imported.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { parse } from 'yaml';
import { main } from '../../src/cli/gatehouse.ts';
import { startTestGateway } from '../support/gateway.ts';
import { httpUpstream } from '../support/upstream.ts';

type Mapping = Record<string, unknown>;
const PETSTORE = new URL('./documents/petstore.yaml', import.meta.url);
const KEYS = [
  { key: 'the-key-of-a-user-who-may-read', subject: 'ada', roles: ['user'] },
  { key: 'the-key-of-an-administrator', subject: 'root', roles: ['admin'] },
];

async function valid(document: Mapping): Promise<void> {
  const result = await new Validator().validate(structuredClone(document));
  assert.ok(result.valid, JSON.stringify(result.errors)?.slice(0, 2_000));
}

async function command(cwd: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await main(args, {
    cwd,
    env: {},
    signals: process,
    exit: () => {},
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
  } as never);
  return { code, out, err };
}

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const untilMs = Date.now() + 30_000;
  while (!(await holds())) {
    assert.ok(Date.now() < untilMs, `it did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('API documents', () => {
  it('are valid OpenAPI 3.1, merged of services and own APIs, each audience with its own', async (t) => {
    const file = join(await mkdtemp(join(tmpdir(), 'gh-api-')), 'pets.yaml');
    t.after(() => rm(join(file, '..'), { recursive: true, force: true }));
    await writeFile(file, await readFile(PETSTORE));
    const upstream = await httpUpstream(t, (_, response) => void response.end('{}'));
    const gateway = await startTestGateway(t, {
      gateway: { auth: { apiKey: { keys: KEYS } } },
      identity: { enabled: true },
      abuse: {},
      registry: { token: 'a-registration-token-of-length' },
      admin: { path: '/gatehouse', listen: 'off' },
      cluster: { name: 'one' },
      openapi: { services: { pets: { file } } },
      services: { pets: { instances: [{ url: upstream.url }] } },
      routes: [
        { match: { path: '/api/pets/*' }, service: 'pets', auth: 'public', rewrite: { stripPrefix: '/api/pets' } },
        { match: { path: '/private/:id', methods: ['GET'] }, service: 'pets' },
        { match: { path: '/root', methods: ['GET'] }, service: 'pets', auth: { roles: ['admin'] } },
        { match: { path: '/api/v1/cache/*' }, builtin: 'cache' },
      ],
    });
    const document = async (path: string, key?: string): Promise<Mapping> => {
      const response = await fetch(gateway.url + path, key === undefined ? {} : { headers: { 'x-api-key': key } });
      assert.equal(response.status, 200, path);
      return (await response.json()) as Mapping;
    };
    const open = await document('/openapi.json');
    const admin = await document('/openapi/admin.json', KEYS[1]!.key);
    await valid(open);
    await valid(admin);
    const paths = Object.keys(open['paths'] as Mapping);
    for (const path of ['/api/pets/v1/pets/{id}', '/private/{id}', '/api/auth/login', '/api/auth/me'])
      assert.ok(paths.includes(path), path);
    for (const path of [
      '/root',
      '/api/auth/admin/users',
      '/gatehouse/api/config',
      '/api/v1/cluster',
      '/api/v1/bans',
      '/api/v1/cache/purge',
    ]) {
      assert.ok(!paths.includes(path), path);
      assert.ok(Object.hasOwn(admin['paths'] as Mapping, path), `${path} of administrators`);
    }
    // What the document says of an operation is what its schema checks.
    const login = ((open['paths'] as Mapping)['/api/auth/login'] as Mapping)['post'] as { requestBody: unknown };
    assert.match(JSON.stringify(login.requestBody), /"password".*"additionalProperties":false/);
    assert.equal((await fetch(`${gateway.url}/openapi/admin.json`)).status, 401);
    const asUser = await fetch(`${gateway.url}/openapi/admin.json`, { headers: { 'x-api-key': KEYS[0]!.key } });
    assert.equal(asUser.status, 403);
    const yaml = await fetch(`${gateway.url}/openapi.yaml`);
    assert.equal(yaml.headers.get('content-type'), 'application/yaml');
    assert.deepEqual(parse(await yaml.text()), open);
    const same = await fetch(`${gateway.url}/openapi.json`);
    const again = await fetch(`${gateway.url}/openapi.json`, {
      headers: { 'if-none-match': same.headers.get('etag')! },
    });
    assert.equal(again.status, 304);
  });

  it('are fetched from a service, kept while it is away, and complained about when they are none', async (t) => {
    const said = { body: '{"openapi":"3.1.0","info":{},"paths":{"/a":{"get":{"responses":{}}}}}', status: 200 };
    const upstream = await httpUpstream(t, (request, response) => {
      response.statusCode = request.url === '/openapi.json' ? said.status : 404;
      response.end(said.body);
    });
    const gateway = await startTestGateway(t, {
      openapi: { undescribed: 'hide', services: { pets: { path: '/openapi.json', refresh: '1s' } } },
      services: { pets: { instances: [{ url: upstream.url }] } },
      routes: [{ match: { path: '/*' }, service: 'pets', auth: 'public' }],
    });
    const paths = async (): Promise<string[]> => {
      const response = await fetch(`${gateway.url}/openapi.json`);
      return Object.keys(((await response.json()) as { paths: Mapping }).paths);
    };
    assert.deepEqual(await paths(), ['/a']);
    said.body = said.body.replace('"/a"', '"/b"');
    await eventually('the next document', async () => (await paths()).join() === '/b');
    said.status = 500;
    await eventually('the fault in the log', async () => {
      await paths();
      return gateway.logged.some((line) => line.includes('the response was 500'));
    });
    assert.deepEqual(await paths(), ['/b']);
    said.status = 200;
    said.body = 'swagger: "2.0"';
    await eventually('the wrong version in the log', async () => {
      await paths();
      return gateway.logged.some((line) => line.includes('3.0 or 3.1 is expected'));
    });
    assert.deepEqual(await paths(), ['/b']);
  });

  it('go out by export and come in by import, as a configuration that is right', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'gh-api-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, 'pets.yaml'), await readFile(PETSTORE));
    const imported = await command(
      folder,
      'import',
      'openapi',
      'pets.yaml',
      '--prefix',
      '/shop',
      '--out',
      'gatehouse.yaml',
    );
    assert.equal(imported.code, 0, imported.err);
    const checked = await command(folder, 'check', 'gatehouse.yaml');
    assert.equal(checked.code, 0, checked.err);
    const exported = await command(folder, 'export', 'openapi', 'gatehouse.yaml', '--strict');
    assert.equal(exported.code, 0, exported.err);
    const document = JSON.parse(exported.out) as { paths: Mapping };
    await valid(document);
    assert.ok(Object.keys(document.paths).includes('/shop/v1/pets/{id}'));
    const twice = await command(folder, 'import', 'openapi', 'pets.yaml', '--out', 'gatehouse.yaml');
    assert.equal(twice.code, 5);
    await writeFile(join(folder, 'old.yaml'), 'swagger: "2.0"');
    const old = await command(folder, 'import', 'openapi', 'old.yaml');
    assert.deepEqual([old.code, old.out], [1, '']);
  });
});

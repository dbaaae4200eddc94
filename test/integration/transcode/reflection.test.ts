/** `transcode: { reflection: true }`: the service says what it offers, says something else later, or says nothing. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { descriptorSet } from '../../support/protos.ts';
import { type ReflectionServer, reflectionServer } from '../../support/reflection-server.ts';
import { type Scope, suiteScope } from '../../support/scope.ts';
import { deadPort } from '../../support/upstream.ts';

const NOTES = (verb: string) => `syntax = "proto3";
package test.notes.v1;
import "google/api/annotations.proto";
import "parts.proto";
service Notes {
  rpc Get(Note) returns (Note) { option (google.api.http) = { get: "/v1/${verb}/{name}" }; }
  rpc Plain(Note) returns (Note);
}
message Note { string name = 1; Part part = 2; int64 id = 3; }
`;
const PARTS = 'syntax = "proto3"; package test.notes.v1; message Part { string text = 1; }\n';

/** A serialized descriptor set of the service whose one path is /v1/VERB/{name}. */
function setOf(scope: Scope, verb: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'gh-reflection-'));
  scope.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'notes.proto'), NOTES(verb));
  writeFileSync(join(folder, 'parts.proto'), PARTS);
  return readFileSync(descriptorSet(scope, join(folder, 'notes.proto')));
}

async function within(what: string, is: () => Promise<boolean>): Promise<void> {
  for (const giveUpMs = Date.now() + 60_000; !(await is()); await new Promise((resolve) => setTimeout(resolve, 20)))
    assert.ok(Date.now() < giveUpMs, what);
}

const route = (prefix: string, transcode: Record<string, unknown>) => ({
  match: { path: `/${prefix}/*` },
  service: prefix,
  auth: 'public',
  rewrite: { stripPrefix: `/${prefix}` },
  transcode,
});

describe('transcoding by reflection', () => {
  const scope = suiteScope();
  const servers: Record<string, ReflectionServer> = {};
  let gateway: TestGateway;
  let later: { readonly port: number; server: ReflectionServer | null };
  let set: Buffer;

  before(async () => {
    set = setOf(scope, 'notes');
    for (const name of ['fine', 'older', 'changing', 'off', 'silent', 'garbage', 'chosen'])
      servers[name] = await reflectionServer(scope, set);
    Object.assign(servers['older']!, { speaks: 'v1alpha', oneByOne: true });
    servers['off']!.speaks = 'off';
    servers['silent']!.speaks = 'silent';
    servers['garbage']!.speaks = 'garbage';
    later = { port: await deadPort(), server: null };
    const urls = Object.entries(servers).map(([name, { url }]) => [name, url] as const);
    const all = [...urls, ['later', `http://127.0.0.1:${later.port}`] as const];
    gateway = await startTestGateway(scope, {
      gateway: { endpoints: { detailed: '/health/detailed' } },
      services: Object.fromEntries(
        all.map(([name, url]) => [name, { protocol: 'grpc', instances: [url], retries: 0 }]),
      ),
      routes: [
        ...all.filter(([name]) => name !== 'chosen').map(([name]) => route(name, { reflection: { refresh: '1s' } })),
        { match: { grpc: { service: 'grpc.reflection.v1.ServerReflection' } }, service: 'changing', auth: 'public' },
        route('chosen', { reflection: true, services: 'test.notes.v1.Other', unbound: true }),
      ],
    });
  });

  const get = async (path: string) => {
    const response = await fetch(`${gateway.url}${path}`);
    return { status: response.status, json: (await response.json()) as Record<string, unknown> };
  };
  const isAnswered = async (path: string) => (await get(path)).status === 200;
  const logged = (pattern: RegExp) =>
    within(`the log says ${pattern}`, async () => gateway.logged.some((line) => pattern.test(line)));

  test('the service says what it offers, and requests in JSON become its calls', async () => {
    await within('it is known', () => isAnswered('/fine/v1/notes/seven'));
    const { json } = await get('/fine/v1/notes/seven?part.text=x&id=9007199254740993');
    assert.deepEqual(json, { name: 'seven', part: { text: 'x' }, id: '9007199254740993' });
    assert.equal((await get('/fine/v1/others/seven')).status, 404);
    assert.equal((await get('/fine/v1/notes/seven?unknown=1')).status, 400);
  });

  test('v1alpha is asked where v1 is not known, and imports that do not come by themselves are asked for', async () => {
    await within('it is known', () => isAnswered('/older/v1/notes/seven'));
    assert.ok(servers['older']!.asked > 3, `${servers['older']!.asked}`);
  });

  test('a service that offers something else is followed', async () => {
    await within('it is known', () => isAnswered('/changing/v1/notes/seven'));
    servers['changing']!.set = setOf(scope, 'papers');
    await within('the new path is known', () => isAnswered('/changing/v1/papers/seven'));
    assert.equal((await get('/changing/v1/notes/seven')).status, 404);
  });

  test('one that cannot be asked any more keeps what it had', async () => {
    await within('it is known', () => isAnswered('/fine/v1/notes/seven'));
    servers['fine']!.speaks = 'off';
    await logged(/"service":"fine".*does not reflect.*1 methods as they were/);
    assert.equal((await get('/fine/v1/notes/seven')).status, 200);
    servers['fine']!.speaks = 'v1';
    await logged(/says again what it offers.*"service":"fine"/);
  });

  test('one that is away at the start is asked again, and is served when it comes', async () => {
    const { status, json } = await get('/later/v1/notes/seven');
    assert.deepEqual([status, json['code']], [503, 'SERVICE_UNAVAILABLE']);
    assert.match(JSON.stringify(json), /what the service offers is not known yet/);
    await logged(/"service":"later".*ECONNREFUSED.*answers 503/);
    later.server = await reflectionServer(scope, set, later.port);
    await within('it is served', () => isAnswered('/later/v1/notes/seven'));
  });

  for (const [name, pattern] of [
    ['off', /"service":"off".*does not reflect \(UNIMPLEMENTED\): turn on server reflection there/],
    ['garbage', /"service":"garbage".*the answer is no message/],
    ['chosen', /"service":"chosen".*it does not offer test\.notes\.v1\.Other; it offers .*test\.notes\.v1\.Notes/],
  ] as const)
    test(`the log says why it is not known (${name}), health and metrics too, and the route answers 503`, async () => {
      await logged(pattern);
      const path = name === 'chosen' ? '/chosen/test.notes.v1.Notes/Plain' : `/${name}/v1/notes/seven`;
      assert.equal((await get(path)).status, 503);
      const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
      assert.match(metrics, new RegExp(`^gatehouse_reflection_failures\\{service="${name}"\\} [1-9]`, 'm'));
      assert.match(metrics, new RegExp(`^gatehouse_reflection_methods\\{service="${name}"\\} 0$`, 'm'));
      assert.match(JSON.stringify((await get('/health/detailed')).json), new RegExp(`reflection:${name}`));
    });

  test('one that never answers holds nothing up: the gateway runs, its route answers 503', async () => {
    assert.equal((await get('/silent/v1/notes/seven')).status, 503);
  });

  test('reflection of a client passes through a route like any call', async () => {
    const { reflect } = await import('../../../src/control/grpc/reflection-client.ts');
    const address = { protocol: 'http', host: '127.0.0.1', port: gateway.port } as const;
    const files = await reflect({ ...address, socketPath: null, basePath: '', tls: null }, null);
    assert.ok(files.length >= 2);
  });
});

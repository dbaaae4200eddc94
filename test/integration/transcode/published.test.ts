/**
 * Transcoded methods in the gateway's own OpenAPI document, on its pages and in `gatehouse export openapi`: of files
 * and by reflection, as clients call them, with what the route says of them.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { commandLine } from '../../../src/cli/command-line.suite.ts';
import { startTestGateway } from '../../support/gateway.ts';
import { descriptorSet } from '../../support/protos.ts';
import { reflectionServer } from '../../support/reflection-server.ts';
import { until } from '../../support/until.ts';

const proto = (verb: string): string => `syntax = "proto3";
package test.notes.v1;
import "google/api/annotations.proto";
service Notes {
  // One note.
  rpc Get(Note) returns (Note) { option (google.api.http) = { get: "/v1/${verb}/{name}" }; }
  rpc Move(Note) returns (Note) { option (google.api.http) = { post: "/v1/{name=${verb}/*}:move" body: "*" }; }
}
message Note { string name = 1; int64 id = 2; }
`;

interface Operation {
  readonly description?: string;
  readonly security?: unknown;
  readonly responses: Readonly<Record<string, unknown>>;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

const PATHS = ['/files/v1/notes/{name}', '/files/v1/{name}:move', '/told/v1/papers/{name}', '/told/v1/{name}:move'];

async function check(document: Document): Promise<void> {
  const { valid, errors } = await new Validator().validate(structuredClone(document) as never);
  assert.ok(valid, JSON.stringify(errors)?.slice(0, 2_000));
  assert.deepEqual(Object.keys(document.paths), PATHS);
  const get = document.paths['/files/v1/notes/{name}']!['get']!;
  assert.match(get.description ?? '', /^One note\./);
  // As the route has it, not the service.
  assert.ok((get.security as object[]).length > 0);
  assert.ok('401' in get.responses && 'default' in get.responses);
  assert.ok('test.notes.v1.Note' in document.components.schemas);
}

test('transcoded methods are in the published document and in an export, as clients call them', async (t) => {
  const cli = commandLine();
  t.after(() => cli.remove());
  writeFileSync(join(cli.folder, 'notes.proto'), proto('notes'));
  const folder = mkdtempSync(join(tmpdir(), 'gh-published-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'papers.proto'), proto('papers'));
  const service = await reflectionServer(t, readFileSync(descriptorSet(t, join(folder, 'papers.proto'))));
  const route = (name: string, transcode: Readonly<Record<string, unknown>>) => ({
    match: { path: `/${name}/*` },
    service: name,
    auth: { roles: ['user'] },
    rewrite: { stripPrefix: `/${name}` },
    transcode,
  });
  const document = {
    gateway: {
      auth: { apiKey: { keys: [{ key: 'the-key-of-a-user-who-may-read', subject: 'ada', roles: ['user'] }] } },
    },
    openapi: { ownApis: false, docs: 'off', redoc: 'off' },
    services: Object.fromEntries(
      ['files', 'told'].map((name) => [name, { protocol: 'grpc', instances: [service.url] }]),
    ),
    routes: [
      route('files', { proto: join(cli.folder, 'notes.proto') }),
      route('told', { reflection: { refresh: '1s' } }),
    ],
  };
  const gateway = await startTestGateway(t, document);
  const published = async (): Promise<Document> =>
    (await (await fetch(`${gateway.url}/openapi.json`)).json()) as Document;
  await check(await published());

  writeFileSync(join(cli.folder, 'gatehouse.json'), JSON.stringify(document));
  const exported = await cli.run('export', 'openapi', 'gatehouse.json', '--strict');
  assert.deepEqual([exported.code, exported.err], [0, '']);
  await check(JSON.parse(exported.out) as Document);

  // Another definition is in the document without a reload.
  writeFileSync(join(folder, 'papers.proto'), proto('letters'));
  service.set = readFileSync(descriptorSet(t, join(folder, 'papers.proto')));
  await until(async () => '/told/v1/letters/{name}' in (await published()).paths, 'the new path is there', 60_000);

  // Without the service nothing is known of it: said, and no success where that is asked for.
  service.speaks = 'off';
  const without = await cli.run('export', 'openapi', 'gatehouse.json', '--strict');
  assert.equal(without.code, 1);
  assert.match(without.err, /told: it does not say what it offers \(reflection\): .*does not reflect/);
  assert.match(without.err, /told has not said what it offers/);
});

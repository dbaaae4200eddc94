/**
 * Messages of gRPC cut at every byte into two DATA frames, from the client and from the service: through the gateway as
 * they are, and as JSON of a transcoded route.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import * as f from '../../src/data/http2/frames.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { block, fieldOf, frame, Http2Peer, post } from '../support/http2-peer.ts';
import { suiteScope } from '../support/scope.ts';

/** `Note { string name = 1; }`, twice: "first" and "second!". */
const MESSAGES = Buffer.concat(
  ['first', 'second!'].map((name) =>
    Buffer.concat([Buffer.of(0, 0, 0, 0, name.length + 2, 0x0a, name.length), Buffer.from(name)]),
  ),
);
const CUTS = Array.from({ length: MESSAGES.length - 1 }, (_, i) => i + 1);
const PROTO = `syntax = "proto3";
package test;
import "google/api/annotations.proto";
service Notes { rpc List(Note) returns (stream Note) { option (google.api.http) = { get: "/v1/notes/{name}" }; } }
message Note { string name = 1; }
`;

describe('messages of gRPC', () => {
  const scope = suiteScope();
  const got: Buffer[] = [];
  let gateway: TestGateway;
  before(async () => {
    // `x-cut` says where the response is cut; requests are kept as they came.
    const service = await Http2Peer.serve(scope, (peer) => {
      void (async () => {
        for (let i = 0; ; i++) {
          const request = await peer.request(i);
          const { stream } = request;
          await peer.frame((each) => each.stream === stream && (each.flags & f.END_STREAM) !== 0 && each.type <= 1);
          got.push(peer.body(stream));
          const cut = Number(fieldOf(request, 'x-cut') ?? 0);
          peer.send(
            frame(
              f.HEADERS,
              f.END_HEADERS,
              stream,
              block([
                [':status', '200'],
                ['content-type', 'application/grpc'],
              ]),
            ),
          );
          peer.data(stream, MESSAGES.subarray(0, cut));
          // Apart on the wire, and so apart in what the gateway reads.
          await peer.settled();
          peer.data(stream, MESSAGES.subarray(cut));
          peer.send(frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream, block([['grpc-status', '0']])));
        }
      })().catch(() => {});
    });
    const folder = mkdtempSync(join(tmpdir(), 'gh-splits-'));
    scope.after(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'notes.proto'), PROTO);
    gateway = await startTestGateway(scope, {
      services: { notes: { instances: [service.url], protocol: 'grpc', retries: 0 } },
      routes: [
        { match: { path: '/test.Notes/*' }, service: 'notes', auth: 'public' },
        {
          match: { path: '/v1/*' },
          service: 'notes',
          auth: 'public',
          transcode: { proto: join(folder, 'notes.proto') },
        },
      ],
    });
  });

  test('pass as they are, wherever the service cuts them', async (t) => {
    const client = await Http2Peer.connect(t, gateway.port);
    for (const [i, cut] of CUTS.entries()) {
      client.headers(
        2 * i + 1,
        post('/test.Notes/List', [
          ['content-type', 'application/grpc'],
          ['x-cut', `${cut}`],
        ]),
      );
      const { status, trailers } = await client.response(2 * i + 1);
      assert.deepEqual([status, fieldOf(trailers!, 'grpc-status')], ['200', '0'], `cut at ${cut}`);
      assert.deepEqual(client.body(2 * i + 1), MESSAGES, `cut at ${cut}`);
    }
  });

  test('pass as they are, wherever the client cuts them', async (t) => {
    const client = await Http2Peer.connect(t, gateway.port);
    for (const [i, cut] of CUTS.entries()) {
      const id = 2 * i + 1;
      got.length = 0;
      client.headers(id, post('/test.Notes/List', [['content-type', 'application/grpc']]), f.END_HEADERS);
      client.data(id, MESSAGES.subarray(0, cut));
      await client.settled();
      client.data(id, MESSAGES.subarray(cut), f.END_STREAM);
      assert.equal((await client.response(id)).status, '200');
      assert.deepEqual(got, [MESSAGES], `cut at ${cut}`);
    }
  });

  test('are the same JSON wherever the service cuts them', async () => {
    for (const cut of CUTS) {
      const response = await fetch(`${gateway.url}/v1/notes/x`, { headers: { 'x-cut': `${cut}` } });
      assert.equal(await response.text(), '{"name":"first"}\n{"name":"second!"}\n', `cut at ${cut}`);
    }
  });
});

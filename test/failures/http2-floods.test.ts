/** What is cheap to send and expensive to handle ends the connection that sends it, and nobody else notices. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import * as f from '../../src/data/http2/frames.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { FLOODS } from '../support/http2-floods.ts';
import { get, Http2Peer, numbered } from '../support/http2-peer.ts';
import { suiteScope } from '../support/scope.ts';
import { httpUpstream, readAll } from '../support/upstream.ts';

const MANY = 10_000;

describe('a flood', () => {
  const scope = suiteScope();
  let gateway: TestGateway;
  before(async () => {
    const upstream = await httpUpstream(scope, (request, response) => {
      readAll(request).then(
        () => response.end('ok'),
        () => {},
      );
    });
    gateway = await startTestGateway(scope, {
      services: { s: { instances: [upstream.url] } },
      routes: [
        { match: { path: '/fixed' }, respond: { status: 200, body: 'x'.repeat(1_000) }, auth: 'public' },
        { match: { path: '/*' }, service: 's', auth: 'public' },
      ],
    });
  });

  const count = async (kind: string): Promise<number> => {
    const text = await (await fetch(`${gateway.url}/metrics`)).text();
    return Number(new RegExp(`^gatehouse_http2_abuse_${kind}_total (\\d+)$`, 'm').exec(text)?.[1]);
  };

  for (const { kind, settings = [], message } of FLOODS) {
    test(`of ${kind} ends with ENHANCE_YOUR_CALM, is counted, and another connection goes on`, async (t) => {
      const before = await count(kind);
      const other = await Http2Peer.connect(t, gateway.port);
      const peer = await Http2Peer.connect(t, gateway.port, settings);
      // Windows for short responses would count as tiny ones.
      peer.credits = false;
      // The acknowledgement of settings must not stand inside a field block.
      await peer.settled();
      for (let n = 0; n < MANY && !peer.isClosed; n++) {
        peer.send(message(n));
        if (n % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
      }
      const { code } = await peer.goaway();
      assert.equal(f.errorName(code), 'ENHANCE_YOUR_CALM');
      await peer.closed();
      assert.equal(await count(kind), before + 1);
      other.headers(1, get('/fixed'));
      assert.equal((await other.response(1)).status, '200');
    });
  }

  test('of windows of one byte ends, though each of them is a frame', async (t) => {
    const peer = await Http2Peer.connect(t, gateway.port, [[f.SETTING_INITIAL_WINDOW_SIZE, 1]]);
    peer.credits = false;
    for (let id = 1; id < 2 * MANY && !peer.isClosed; id += 2) {
      peer.headers(id, get('/fixed'));
      if (id % 50 === 49) await new Promise((resolve) => setImmediate(resolve));
      if (id > 180) peer.send(numbered(f.WINDOW_UPDATE, id - 180, 1));
    }
    assert.equal(f.errorName((await peer.goaway()).code), 'ENHANCE_YOUR_CALM');
  });

  test('of requests that come whole and are waited for is none', async (t) => {
    const peer = await Http2Peer.connect(t, gateway.port);
    for (let id = 1; id < 6_000; id += 2) {
      peer.headers(id, get('/fixed'));
      if (id % 100 === 99) await peer.response(id);
    }
    assert.equal((await peer.response(5_999)).status, '200');
    assert.ok(!peer.isClosed);
  });
});
